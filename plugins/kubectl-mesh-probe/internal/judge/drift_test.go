package judge

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

func TestDrift(t *testing.T) {
	t.Parallel()
	half, failover := func(int) float64 { return 0.5 }, func(i int) float64 { return 0.5 - 0.5*float64(i/1000) }
	never := func(int) string { return "" }
	for name, tc := range map[string]struct {
		us       func(i int) float64 // the share of us at each request
		requests int
		rare     func(i int) string // who else answers a request; "" for nobody
		drift    bool
	}{
		"steady":           {half, 2000, never, false},
		"few":              {func(i int) float64 { return float64(i / 8) }, 16, never, false},
		"changes half":     {failover, 2000, never, true},
		"there and back":   {func(i int) float64 { return 0.5 - 0.4*float64(i/500%2) }, 2000, never, true},
		"slowly":           {func(i int) float64 { return 0.7 - 0.4*float64(i)/2000 }, 2000, never, true},
		"large and steady": {half, 200000, never, false},
		// Rare names do not count, and do not keep the others from being tested.
		"changes half, a third cluster answers once": {failover, 2000, func(i int) string { return map[bool]string{true: "ap"}[i == 700] }, true},
		"changes half, many values":                  {failover, 2000, func(i int) string { return map[bool]string{true: fmt.Sprint("pod-", i)}[i%3 == 0] }, true},
		"steady, many values":                        {half, 2000, func(i int) string { return map[bool]string{true: fmt.Sprint("pod-", i)}[i%3 == 0] }, false},
		"only rare values":                           {half, 2000, func(i int) string { return fmt.Sprint("pod-", i/10) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random, x := rand.New(rand.NewPCG(5, 5)), tally.New(mesh)
			for i := range tc.requests {
				who := "eu"
				if random.Float64() < tc.us(i) {
					who = "us"
				}
				x.Add(reply.Reply{Status: 200}, from(cmp.Or(tc.rare(i), who)))
			}
			if got := Drift(x); (got != "") != tc.drift {
				t.Errorf("%q", got)
			}
		})
	}
}

// A steady run hardly ever seems to drift.
func TestDriftOfSteadyRuns(t *testing.T) {
	t.Parallel()
	seen := 0
	for seed := range uint64(1000) {
		random, x := rand.New(rand.NewPCG(seed, 9)), tally.New(mesh)
		for range 600 {
			who := "eu"
			if random.Float64() < 0.5 {
				who = "us"
			}
			x.Add(reply.Reply{Status: 200}, from(who))
		}
		if Drift(x) != "" {
			seen++
		}
	}
	if seen > 2 {
		t.Errorf("%d of 1000 steady runs seem to drift", seen)
	}
}

// One share does not describe a run that drifted.
func TestDriftDoubtsAShare(t *testing.T) {
	t.Parallel()
	c := expectation(t, "us=50%").Judge(tallyOf(2000, 2000, 0, 0), Evidence{Members: mesh, Drift: "us answered 100.0%, 100.0%, 0.0%, 0.0% in the four parts of the run"})
	if c.Verdict != Inconclusive || !strings.Contains(c.Reason, "changed during the run") {
		t.Errorf("%+v", c)
	}
}
