package view

import (
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// TestFailuresSayWhatIsUnknown: with affinity local, a peer that was not read matters only if the local endpoints are lost. Then the table has an upper bound, and the
// reason is below it, once.
func TestFailuresSayWhatIsUnknown(t *testing.T) {
	t.Parallel()
	const caveat = "the cluster also connects to eu, which is not read"
	outcome := func(us, ap float64, low *float64) []v1alpha1.Outcome {
		share := func(name string, part float64) v1alpha1.Share {
			s := v1alpha1.Share{Cluster: name, Share: &part, Used: ptr.To(part > 0), Low: low}
			if low != nil {
				s.High = &part
			}
			return s
		}
		return []v1alpha1.Outcome{{Shares: []v1alpha1.Share{share("us", us), share("ap", ap)}}}
	}
	doc := v1alpha1.ServiceReport{
		Document: v1alpha1.Document{Members: []v1alpha1.Member{{Name: "us"}, {Name: "ap"}}}, Namespace: "shop", Name: "web",
		Predictions: []v1alpha1.Prediction{{Client: "us", Kind: "balanced", IPFamily: "IPv4", Complete: true, Outcomes: outcome(1, 0, nil)}},
		Failures: []v1alpha1.Failure{{LostCluster: "us", Predictions: []v1alpha1.Prediction{
			{Client: "us", Kind: "balanced", IPFamily: "IPv4", Outcomes: outcome(0, 1, ptr.To(0.0)), Caveats: []string{caveat}},
			{Client: "us", Kind: "balanced", IPFamily: "IPv6", Outcomes: outcome(0, 1, ptr.To(0.0)), Caveats: []string{caveat}},
		}}},
	}
	got := printed(t, Describe(doc))
	if strings.Count(got, "us, if us loses its endpoints: "+caveat) != 1 || !strings.Contains(got, "<= 100%") {
		t.Error(got)
	}
	doc.Predictions[0].Caveats = []string{caveat} // what the first table says is not repeated
	if got := printed(t, Describe(doc)); strings.Contains(got, "if us loses") {
		t.Error(got)
	}
}
