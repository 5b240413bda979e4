package judge

import (
	"strings"
	"testing"
	"time"

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
		{"p99(us)<250ms", 1000, 0, predictHalf, Inconclusive},
		{"p99(us)<250ms", 1000, 0, predictNone, Inconclusive},
		{"p99(us)<250ms", 1000, 0, predictUSInDoubt, Inconclusive},
		{"p99(us)<250ms", 1000, 0, predictUS, Pass},
		{"p99(us)<1ms", 1000, 0, predictHalf, Inconclusive},
		{"p99(us)<1ms", 1000, 0, predictUS, Fail},
		{"p99<250ms", 1000, 0, predictHalf, Pass},           // whoever answered
		{"only=us", 400, 0, predictUSInDoubt, Inconclusive}, // a peer that is not read may be the sender
		{"eu=0%", 400, 0, predictUSInDoubt, Inconclusive},
	} {
		es, err := ParseExpectations([]string{tc.expr}, mesh, false)
		if err != nil {
			t.Fatal(err)
		}
		x := weakSample(tc.us, tc.eu)
		if c := es[0].Judge(x.Tally, Evidence{Prediction: tc.p, Members: mesh, Requests: x.history.All()}); c.Verdict != tc.want {
			t.Errorf("%s, %d:%d, predicted %s: %+v, want %s", tc.expr, tc.us, tc.eu, tc.p, c, tc.want)
		}
	}
	for shares, want := range map[[2]int]Verdict{{400, 0}: Inconclusive, {205, 195}: Pass} {
		if c := CheckPrediction(weakTally(shares[0], shares[1]), Evidence{Prediction: predictHalf, Members: mesh}); c.Verdict != want {
			t.Errorf("%v: %+v", shares, c)
		}
	}
	if c := CheckPrediction(weakTally(400, 0), Evidence{Prediction: predictUSInDoubt, Members: mesh}); c.Verdict != Inconclusive {
		t.Errorf("%+v", c)
	}
	if Contradicts(weakTally(3, 0), predictHalf, mesh) || !Contradicts(weakTally(40, 0), predictHalf, mesh) || !Contradicts(weakTally(1, 0), predictEU, mesh) {
		t.Error("what contradicts a prediction")
	}
}

// predictUSInDoubt is the prediction without a peer that is not read.
var predictUSInDoubt = Prediction{Shares: map[string]float64{"us": 1}, Doubt: "the cluster also connects to ap, which is not read"}

// A name that a second cluster had during the run proves nothing about who answered. Errors have no sender.
func TestReusedNames(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]Verdict{"only=us": Inconclusive, "us=0%": Inconclusive, "eu=0%": Inconclusive, "us>10%": Inconclusive, "errors=0%": Pass, "p99(us)<250ms": Inconclusive, "p99(us)<1ms": Inconclusive, "p99<250ms": Pass} {
		x := newSample()
		x.timed(1000, "us", 10*time.Millisecond)
		c := expectation(t, expr).Judge(x.Tally, Evidence{Prediction: predictUS, Members: mesh, Requests: x.history.All(), Reused: "pod name web-0"})
		if c.Verdict != want || want == Inconclusive && !strings.Contains(c.Reason, "a second cluster had the same pod name web-0") {
			t.Errorf("%s: %+v", expr, c)
		}
	}
	if c := CheckPrediction(tallyOf(400, 0, 0, 0), Evidence{Prediction: predictUS, Members: mesh, Reused: "pod name web-0"}); c.Verdict != Inconclusive {
		t.Errorf("%+v", c)
	}
}

func weakTally(us, eu int) *tally.Tally { return weakSample(us, eu).Tally }

// weakSample has replies after 10 ms that are attributed by the name of a cluster.
func weakSample(us, eu int) *sample {
	x := newSample()
	for name, n := range map[string]int{"us": us, "eu": eu} {
		for range n {
			x.add(reply.Reply{Status: 200, Latency: 10 * time.Millisecond, Measured: true}, origin.Match{Name: name, Member: true, By: origin.ByCluster, Weak: true})
		}
	}
	return x
}
