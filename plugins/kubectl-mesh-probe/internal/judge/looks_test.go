package judge

import (
	"math/rand/v2"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// gate checks one expectation as the command does: it draws requests, judges, and extends the run while there is no verdict.
func gate(t *testing.T, seed uint64, expr string, truth map[string]float64, failing float64, count, most int) (Verdict, int) {
	t.Helper()
	es, err := ParseExpectations([]string{expr}, mesh, false)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 1))
	tally := tally.New(mesh)
	ev := Evidence{Members: mesh, Looks: Looks(count, most)}
	for target, look := count, 1; ; look++ {
		for tally.Requests < target {
			x := random.Float64()
			r := reply.Reply{Status: 200}
			if random.Float64() < failing {
				r = reply.Reply{Status: 503, Class: reply.Class5xx}
			}
			for _, m := range mesh {
				if x -= truth[m.Name]; x < 0 {
					tally.Add(r, origin.Match{Name: m.Name, Member: true, By: origin.ByPod})
					break
				}
			}
		}
		check := es[0].Judge(tally, ev)
		if target = Extend([]Check{check}, tally.Requests, most, look); target == 0 {
			return check.Verdict, tally.Requests
		}
	}
}

// A true expectation nearly always passes within --max-count. A false one hardly ever does.
func TestFieldDGates(t *testing.T) {
	t.Parallel()
	const seeds = 400
	split := func(us float64) map[string]float64 { return map[string]float64{"us": us, "eu": 1 - us} }
	for name, tc := range map[string]struct {
		expr         string
		truth        map[string]float64
		failing      float64
		least, most  int // of the seeds, that pass
		neverFailing bool
	}{
		"half":                    {"us=50%", split(0.5), 0, seeds * 99 / 100, seeds, true},
		"a third":                 {"us=33.3%", split(1. / 3), 0, seeds * 99 / 100, seeds, true},
		"narrow":                  {"us=50%±3", split(0.5), 0, seeds * 99 / 100, seeds, true},
		"small share":             {"us=4%", split(0.04), 0, seeds * 99 / 100, seeds, true},
		"large share":             {"us=96%", split(0.96), 0, seeds * 99 / 100, seeds, true},
		"nearly":                  {"us=50%", split(0.52), 0, seeds * 95 / 100, seeds, true},
		"60:40":                   {"us=50%", split(0.6), 0, 0, 0, false},
		"the edge":                {"us=50%", split(0.55), 0, 0, seeds * 5 / 100, false},
		"never answers":           {"us=4%", split(0), 0, 0, 0, false},
		"never, wide tolerance":   {"us=4%±5", split(0), 0, 0, 0, false},
		"always, wide tolerance":  {"us=96%±5", split(1), 0, 0, 0, false},
		"few errors":              {"errors<1%", split(0.5), 0.003, seeds * 95 / 100, seeds, true},
		"too many errors":         {"errors<1%", split(0.5), 0.02, 0, seeds / 100, false},
		"errors at the very edge": {"errors<1%", split(0.5), 0.01, 0, seeds * 5 / 100, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passed := 0
			for seed := range uint64(seeds) {
				verdict, sent := gate(t, seed, tc.expr, tc.truth, tc.failing, 400, 10000)
				if verdict == Pass {
					passed++
				}
				if verdict == Fail && tc.neverFailing {
					t.Errorf("seed %d: FAIL after %d requests", seed, sent)
				}
				if sent > 10000 {
					t.Errorf("seed %d: %d requests", seed, sent)
				}
			}
			if passed < tc.least || passed > tc.most {
				t.Errorf("%d of %d runs passed, want %d to %d", passed, seeds, tc.least, tc.most)
			}
		})
	}
}

// --count alone is a fixed number: the run is judged once, and the check shows how many requests it needs.
func TestFieldDFixedCount(t *testing.T) {
	t.Parallel()
	es, err := ParseExpectations([]string{"us=50%"}, mesh, false)
	if err != nil {
		t.Fatal(err)
	}
	c := es[0].Judge(fieldTally(210, 190, 0, 0, nil), Evidence{Members: mesh, Looks: Looks(400, 400)})
	if c.Verdict != Inconclusive || c.Needs < 1000 || c.Needs > 4000 || Extend([]Check{c}, 400, 400, 1) != 0 {
		t.Errorf("%+v", c)
	}
	for count, most := range map[int]int{400: 400, 10000: 400} {
		if Looks(count, most) != 1 {
			t.Errorf("%d, %d: more than one look", count, most)
		}
	}
}

// More requests are sent only if they can change a verdict.
func TestFieldDExtend(t *testing.T) {
	t.Parallel()
	open := Check{Verdict: Inconclusive, Needs: 3000}
	for name, tc := range map[string]struct {
		checks           []Check
		sent, most, look int
		want             int
	}{
		"needs more":        {[]Check{open}, 400, 10000, 1, 3000},
		"one of two":        {[]Check{{Verdict: Pass}, open}, 400, 10000, 1, 3000},
		"bounded":           {[]Check{open}, 400, 2000, 1, 2000},
		"twice at least":    {[]Check{{Verdict: Inconclusive, Needs: 401}}, 400, 10000, 1, 800},
		"to the end":        {[]Check{open}, 3000, 10000, 2, 10000},
		"the last look":     {[]Check{open}, 10000, 10000, 3, 0},
		"all pass":          {[]Check{{Verdict: Pass}}, 400, 10000, 1, 0},
		"one fails":         {[]Check{{Verdict: Fail}, open}, 400, 10000, 1, 0},
		"unattributed":      {[]Check{{Verdict: Inconclusive}, open}, 400, 10000, 1, 0},
		"no checks":         {nil, 400, 10000, 1, 0},
		"nothing left":      {[]Check{open}, 400, 400, 1, 0},
		"the most is fewer": {[]Check{open}, 400, 300, 1, 0},
	} {
		if got := Extend(tc.checks, tc.sent, tc.most, tc.look); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestFieldDTolerance(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]float64{"us=50%": 0.05, "us=4%": 0.02, "us=97%": 0.015, "us=10%": 0.05, "us=50%±3": 0.03, "us=50%+-2.5": 0.025, "us=50%±1%": 0.01} {
		es, err := ParseExpectations([]string{expr}, mesh, false)
		if err != nil || es[0].tolerance < want-1e-9 || es[0].tolerance > want+1e-9 {
			t.Errorf("%s: %+v %v, want %v", expr, es, err, want)
		}
	}
	for _, expr := range []string{"us=50%±", "us=50%±0", "us=50%±x", "us=50%±-1", "us=50%±100", "us=0%±3", "us=100%±3", "us=±3", "only=us±3"} {
		if es, err := ParseExpectations([]string{expr}, mesh, false); err == nil {
			t.Errorf("%s: %+v", expr, es)
		}
	}
}
