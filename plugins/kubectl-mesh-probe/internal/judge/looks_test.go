package judge

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// run checks one expectation as the command does: it draws requests, judges, and extends the run while there is no verdict.
func run(t *testing.T, expr string, count, most int, draw func() (reply.Reply, origin.Match)) (Verdict, int) {
	t.Helper()
	x, tally := expectation(t, expr), newSample()
	for target, look := count, 1; ; look++ {
		for tally.Requests < target {
			tally.add(draw())
		}
		check := x.Judge(tally.Tally, Evidence{Members: mesh, Looks: Looks(count, most), Requests: tally.history.All()})
		if target = Extend([]Check{check}, tally.Requests, most, look); target == 0 {
			return check.Verdict, tally.Requests
		}
	}
}

// gate draws requests with true shares and a true part of errors.
func gate(t *testing.T, seed uint64, expr string, truth map[string]float64, failing float64, count, most int) (Verdict, int) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	return run(t, expr, count, most, func() (reply.Reply, origin.Match) {
		x, r := random.Float64(), reply.Reply{Status: 200}
		if random.Float64() < failing {
			r = reply.Reply{Status: 503, Class: reply.Class5xx}
		}
		for _, m := range mesh {
			if x -= truth[m.Name]; x < 0 {
				return r, from(m.Name)
			}
		}
		return r, origin.Match{}
	})
}

// A true expectation nearly always passes within --max-count. A false one hardly ever does.
func TestFieldDGates(t *testing.T) {
	t.Parallel()
	split := func(us float64) map[string]float64 { return map[string]float64{"us": us, "eu": 1 - us} }
	for name, tc := range map[string]struct {
		expr         string
		truth        map[string]float64
		failing      float64
		least, most  float64 // of the runs, that pass
		neverFailing bool    // no more than 1 in 500 fails
	}{
		"half":                    {"us=50%", split(0.5), 0, 0.99, 1, true},
		"a third":                 {"us=33.3%", split(1. / 3), 0, 0.99, 1, true},
		"narrow":                  {"us=50%±3", split(0.5), 0, 0.99, 1, true},
		"small share":             {"us=4%", split(0.04), 0, 0.99, 1, true},
		"large share":             {"us=96%", split(0.96), 0, 0.99, 1, true},
		"nearly":                  {"us=50%", split(0.52), 0, 0.95, 1, true},
		"60:40":                   {"us=50%", split(0.6), 0, 0, 0, false},
		"the edge":                {"us=50%", split(0.55), 0, 0, 0.05, false},
		"never answers":           {"us=4%", split(0), 0, 0, 0, false},
		"never, wide tolerance":   {"us=4%±5", split(0), 0, 0, 0, false},
		"always, wide tolerance":  {"us=96%±5", split(1), 0, 0, 0, false},
		"few errors":              {"errors<1%", split(0.5), 0.003, 0.99, 1, true},
		"too many errors":         {"errors<1%", split(0.5), 0.02, 0, 0.01, false},
		"above":                   {"us>40%", split(0.5), 0, 0.99, 1, true},
		"not above":               {"us>40%", split(0.35), 0, 0, 0.01, false},
		"below":                   {"us<60%", split(0.5), 0, 0.99, 1, true},
		"not below":               {"us<60%", split(0.65), 0, 0, 0.01, false},
		"errors at the very edge": {"errors<1%", split(0.5), 0.01, 0, 0.05, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 200
			if slices.Contains([]string{"half", "60:40", "few errors", "too many errors"}, name) {
				runs = 1000
			}
			passed, failed := 0, 0
			for seed := range uint64(runs) {
				verdict, sent := gate(t, seed, tc.expr, tc.truth, tc.failing, 400, 10000)
				if verdict == Pass {
					passed++
				}
				if verdict == Fail {
					failed++
				}
				if sent > 10000 {
					t.Errorf("seed %d: %d requests", seed, sent)
				}
			}
			if failed > max(1, runs/500) && tc.neverFailing {
				t.Errorf("%d of %d runs failed", failed, runs)
			}
			if share := float64(passed) / float64(runs); share < tc.least || share > tc.most {
				t.Errorf("%d of %d runs passed, want %v to %v of them", passed, runs, tc.least, tc.most)
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
