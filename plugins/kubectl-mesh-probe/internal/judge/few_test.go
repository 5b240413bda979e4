package judge

import (
	"strings"
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

// A check suggests only flags that the command accepts as it was called: --identify not for connections, --max-count not with --duration.
func TestAdvice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		expr  string
		tally *tally.Tally
		ev    Evidence
		want  string
	}{
		"replies":                {"only=us", tallyOf(300, 0, 100, 0), Evidence{}, "100 replies could not be attributed; use --identify"},
		"connections":            {"only=us", tallyOf(300, 0, 100, 0), Evidence{Connections: true}, "100 connections could not be attributed"},
		"connections that fail":  {"us=0%", tallyOf(0, 300, 100, 10), Evidence{Connections: true}, "110 requests could not be attributed, 10 of them failed"},
		"replies and failures":   {"us=0%", tallyOf(0, 300, 100, 10), Evidence{}, "110 requests could not be attributed, 10 of them failed; use --identify"},
		"too few":                {"us=50%", tallyOf(10, 10, 0, 0), Evidence{}, "raise --max-count"},
		"too few, with a time":   {"us=50%", tallyOf(10, 10, 0, 0), Evidence{Timed: true}, "raise --duration"},
		"too few errors":         {"errors<1%", tallyOf(10, 10, 0, 0), Evidence{Timed: true}, "raise --duration"},
		"too few for a boundary": {"us>40%", tallyOf(10, 10, 0, 0), Evidence{}, "raise --max-count"},
	} {
		tc.ev.Members = mesh
		if c := expectation(t, tc.expr).Judge(tc.tally, tc.ev); c.Verdict != Inconclusive || !strings.HasSuffix(c.Reason, tc.want) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
