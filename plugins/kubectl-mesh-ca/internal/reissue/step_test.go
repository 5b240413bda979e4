package reissue

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// TestRenewalThatIsNotWritten: what is read back of a Certificate tells whether the condition was set, also if cert-manager was faster.
func TestRenewalThatIsNotWritten(t *testing.T) {
	t.Parallel()
	certificate := func(issuing string, revision int64) *unstructured.Unstructured {
		conditions := []any{map[string]any{"type": "Ready", "status": "True"}}
		if issuing != "" {
			conditions = append(conditions, map[string]any{"type": "Issuing", "status": issuing, "lastTransitionTime": "2026-11-23T11:00:00Z"})
		}
		return &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": conditions, "revision": revision}}}
	}
	of := &ca.State{Member: &clusters.Member{Name: "us"}}
	for name, tc := range map[string]struct {
		have, stored *unstructured.Unstructured
		done         bool
	}{
		"set":                      {certificate("", 1), certificate("True", 1), true},
		"not set":                  {certificate("", 1), certificate("", 1), false},
		"not set, issued before":   {certificate("False", 1), certificate("False", 1), false},
		"issued already":           {certificate("", 1), certificate("", 2), true},
		"failed already":           {certificate("", 1), certificate("False", 1), true},
		"it was being issued":      {certificate("True", 1), certificate("True", 1), true},
		"never issued, not set":    {&unstructured.Unstructured{Object: map[string]any{}}, &unstructured.Unstructured{Object: map[string]any{}}, false},
		"never issued, now it was": {&unstructured.Unstructured{Object: map[string]any{}}, certificate("", 1), true},
	} {
		if got := renew(of, tc.have, "test", pkitest.Now).Diff(tc.stored); (got == nil) != tc.done {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
