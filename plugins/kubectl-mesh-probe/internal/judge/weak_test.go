package judge

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// A check that relies on weak names passes only if the prediction confirms the tally.
func TestField03WeakNamesPassNothing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		expr   string
		us, eu int
		p      Prediction
		want   Verdict
	}{
		{"only=us", 400, 0, predictHalf, Inconclusive},
		{"eu=0%", 400, 0, predictHalf, Inconclusive},
		{"us=100%", 400, 0, predictEU, Inconclusive},
		{"us=100%", 400, 0, predictNone, Inconclusive},
		{"us=100%", 400, 0, predictUS, Pass},
		{"only=eu", 400, 0, predictHalf, Inconclusive}, // nor do they fail anything
		{"us=50%", 1505, 1495, predictHalf, Pass},
		{"only=us", 205, 195, predictHalf, Fail},
		{"errors=0%", 400, 0, predictHalf, Pass},
	} {
		es, err := ParseExpectations([]string{tc.expr}, mesh, false)
		if err != nil {
			t.Fatal(err)
		}
		if c := es[0].Judge(weakTally(tc.us, tc.eu), Evidence{Prediction: tc.p, Members: mesh}); c.Verdict != tc.want {
			t.Errorf("%s, %d:%d, predicted %s: %+v, want %s", tc.expr, tc.us, tc.eu, tc.p, c, tc.want)
		}
	}
	for shares, want := range map[[2]int]Verdict{{400, 0}: Inconclusive, {205, 195}: Pass} {
		if c := CheckPrediction(weakTally(shares[0], shares[1]), Evidence{Prediction: predictHalf, Members: mesh}); c.Verdict != want {
			t.Errorf("%v: %+v", shares, c)
		}
	}
	if Contradicts(weakTally(3, 0), predictHalf, mesh) || !Contradicts(weakTally(40, 0), predictHalf, mesh) || !Contradicts(weakTally(1, 0), predictEU, mesh) {
		t.Error("what contradicts a prediction")
	}
}

func weakTally(us, eu int) *tally.Tally {
	t := tally.New(mesh)
	for name, n := range map[string]int{"us": us, "eu": eu} {
		for range n {
			t.Add(reply.Reply{Status: 200}, origin.Match{Name: name, Member: true, By: origin.ByCluster, Weak: true})
		}
	}
	return t
}
