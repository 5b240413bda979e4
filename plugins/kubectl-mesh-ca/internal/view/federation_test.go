package view_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

func TestFederation(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.FederationReport{
		Recipe: "cross-certificates", Reason: "nobody issues them again",
		Clusters: []v1alpha1.FederationCluster{
			{Cluster: "us", Issuer: "nobody", CA: ptr.To(certificate("CN=Cilium CA", now.Add(1000*pkitest.Day))), LeafCertificates: 6, Crossed: 6},
			{Cluster: "eu", Issuer: "nobody", LeafCertificates: 6, ToChange: []string{"secret/a", "secret/b"}},
		},
		Phases:    []v1alpha1.RotationPhase{{Name: "chains", Description: "cross certificates are sent", Clusters: []string{"eu"}}},
		Changes:   []v1alpha1.Change{{Cluster: "eu", Object: "secret/a", Result: v1alpha1.ResultPlanned, Message: "a chain"}},
		Waiting:   []string{"eu: not yet"},
		NextSteps: []v1alpha1.NextStep{{Command: "connect", Reason: "connects them"}},
		UndoSteps: []v1alpha1.NextStep{{Command: "off", Reason: "separates them"}},
	}
	want := `Recipe: cross-certificates: nobody issues them again.

Clusters
CLUSTER   CA         EXPIRES      ISSUER   ACCEPTED-BY-ALL   TRUST-ALL   TO-CHANGE
us        abababab   2029-08-19   nobody   6 of 6            0 of 6      0
eu        -          -            nobody   0 of 6            0 of 6      2

Phases
PHASE    CLUSTERS   WHAT
chains   eu         cross certificates are sent

Changes
CLUSTER   OBJECT     RESULT    WHAT
eu        secret/a   planned   a chain

Not ready yet
  eu: not yet`
	if d := cmp.Diff(want, strings.TrimSpace(show(t, view.Federation(doc)))); d != "" {
		t.Error(d)
	}
	doc.Phases[0].WaitedMs, doc.Phases[0].TookMs = ptr.To[int64](1500), ptr.To[int64](100)
	if got := show(t, view.Federation(doc)); !strings.Contains(got, "chains   eu         1.5s     100ms") {
		t.Error(got)
	}
	if d := cmp.Diff([]string{"", "Next:", "  connect", "      connects them", "", "To undo it, run:", "  off", "      separates them"}, view.FederationNext(doc)); d != "" {
		t.Error(d)
	}
}
