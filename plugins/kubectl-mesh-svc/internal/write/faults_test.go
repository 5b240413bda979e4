package write_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/cmd"
)

// TestFaults: what every write promises, for the annotations of Services; mesh-ca has the same test.
func TestFaults(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, c := range map[string]struct {
		args     []string
		services map[string]map[string]string
	}{
		"globalize": {[]string{"globalize", "a", "b", "-n", "shop", "--yes"}, map[string]map[string]string{"a": nil, "b": {cilium.AnnotationGlobalAlias: "true"}}},
		"drain":     {[]string{"drain", "us", "--yes"}, map[string]map[string]string{"a": {cilium.AnnotationGlobal: "true"}, "b": {cilium.AnnotationGlobal: "true", cilium.AnnotationShared: "TRUE"}}},
	} {
		t.Run(name, func(t *testing.T) {
			change := testkit.Change{
				Mesh: func(t *testing.T) *testkit.Mesh {
					t.Helper()
					return testkit.NewMesh(t, []string{"us", "eu", "ap"}, c.services)
				},
				Command: func(m *testkit.Mesh) testkit.Command { return testkit.Command{New: cmd.New, Members: m.Members} },
				Args:    c.args,
				Content: annotations,
			}
			testkit.CheckFaults(t, change)
			change.Args = change.Args[:len(change.Args)-1]
			testkit.CheckUnconfirmed(t, change)
		})
	}
}

// annotations are those of a Service. The id of a drain differs from run to run.
func annotations(t *testing.T, m *testkit.Mesh, c v1alpha1.Change) string {
	t.Helper()
	svc, err := m.API[c.Cluster].CoreV1().Services(c.Namespace).Get(t.Context(), strings.TrimPrefix(c.Object, "service/"), metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(svc.Annotations)) {
		v := svc.Annotations[k]
		if k == "mesh.kubectl.io/drained" {
			_, v, _ = strings.Cut(v, ",")
		}
		out = append(out, fmt.Sprintf("%s=%s", k, v))
	}
	return strings.Join(out, " ")
}
