package judge

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// A few replies do not contradict a prediction of halves. A check that relies on weak names still passes only if it is as predicted.
func TestField03FewWeakReplies(t *testing.T) {
	t.Parallel()
	members := mesh[:2]
	counts := tally.New(members)
	for range 10 {
		counts.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true, By: origin.ByCluster, Weak: true})
	}
	halves := Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5}}
	all := Prediction{Shares: map[string]float64{"us": 1, "eu": 0}}
	for _, tc := range []struct {
		expr       string
		prediction Prediction
		want       Verdict
	}{
		{"only=us", halves, Inconclusive}, {"us=100%", halves, Inconclusive}, {"eu=0%", halves, Inconclusive},
		{"only=us", all, Pass}, {"us=100%", all, Pass}, {"eu=0%", all, Pass},
	} {
		es, err := ParseExpectations([]string{tc.expr}, members, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := es[0].Judge(counts, Evidence{Prediction: tc.prediction, Members: members, Looks: 1}); got.Verdict != tc.want {
			t.Errorf("%s with %s: %+v, want %s", tc.expr, tc.prediction, got, tc.want)
		}
	}
}
