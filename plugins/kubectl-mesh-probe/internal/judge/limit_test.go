package judge

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

func expectation(t *testing.T, expr string) Expectation {
	t.Helper()
	es, err := ParseExpectations([]string{expr}, mesh, false)
	if err != nil {
		t.Fatal(err)
	}
	return es[0]
}

func from(name string) origin.Match { return origin.Match{Name: name, Member: true, By: origin.ByPod} }

// sample is a tally and the requests that it counts, one every 20 ms.
type sample struct {
	*tally.Tally
	history history.Log
}

func newSample() *sample { return &sample{Tally: tally.New(mesh)} }

func (s *sample) add(r reply.Reply, who origin.Match) {
	r.Start = time.Unix(1000, 0).Add(time.Duration(s.Requests) * 20 * time.Millisecond)
	s.Add(r, who)
	s.history.Add(history.New(history.Client{Cluster: "us", Pod: "client"}, r, who))
}

// timed adds replies that took a time.
func (s *sample) timed(n int, name string, took time.Duration) {
	match := origin.Match{}
	if name != "" {
		match = from(name)
	}
	for range n {
		s.add(reply.Reply{Status: 200, Latency: took, Measured: true}, match)
	}
}

// untimed adds a reply that was not measured, whose result arrived after this time.
func (s *sample) untimed(name string, most time.Duration) {
	s.add(reply.Reply{Status: 200, Latency: most}, from(name))
}

func (s *sample) refused(n int) {
	for range n {
		s.add(reply.Reply{Class: reply.ClassRefused, Measured: true}, origin.Match{})
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	const fast, slow = 10 * time.Millisecond, 300 * time.Millisecond
	onlyUS := Prediction{Shares: map[string]float64{"us": 1, "eu": 0}}
	for name, tc := range map[string]struct {
		expr string
		fill func(*sample)
		p    Prediction
		want Verdict
	}{
		"all fast":                {"p99<250ms", func(x *sample) { x.timed(1000, "us", fast) }, Prediction{}, Pass},
		"few":                     {"p99<250ms", func(x *sample) { x.timed(100, "us", fast) }, Prediction{}, Inconclusive},
		"five percent slow":       {"p99<250ms", func(x *sample) { x.timed(950, "us", fast); x.timed(50, "eu", slow) }, Prediction{}, Fail},
		"half of p50":             {"p50<250ms", func(x *sample) { x.timed(800, "us", fast); x.timed(200, "eu", slow) }, Prediction{}, Pass},
		"one cluster is slow":     {"p99(eu)<250ms", func(x *sample) { x.timed(900, "us", fast); x.timed(100, "eu", slow) }, Prediction{}, Fail},
		"the other is not":        {"p99(us)<250ms", func(x *sample) { x.timed(900, "us", fast); x.timed(100, "eu", slow) }, Prediction{}, Pass},
		"context name":            {"p99(kind-us)<250ms", func(x *sample) { x.timed(900, "us", fast) }, Prediction{}, Pass},
		"no answers of it":        {"p99(eu)<250ms", func(x *sample) { x.timed(900, "us", fast) }, Prediction{}, Inconclusive},
		"failed are not fast":     {"p99<250ms", func(x *sample) { x.timed(900, "us", fast); x.refused(100) }, Prediction{}, Fail},
		"failed may be its own":   {"p99(us)<250ms", func(x *sample) { x.timed(900, "us", fast); x.refused(100) }, Prediction{}, Inconclusive},
		"failed can only be its":  {"p99(us)<250ms", func(x *sample) { x.timed(900, "us", fast); x.refused(100) }, onlyUS, Fail},
		"unknown but fast":        {"p99(us)<250ms", func(x *sample) { x.timed(900, "us", fast); x.timed(50, "", fast) }, Prediction{}, Pass},
		"unknown and slow":        {"p99(us)<250ms", func(x *sample) { x.timed(900, "us", fast); x.timed(50, "", slow) }, Prediction{}, Inconclusive},
		"a tool without measures": {"p99<250ms", func(x *sample) { x.add(reply.Reply{Status: 200}, from("us")) }, Prediction{}, Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSample()
			tc.fill(x)
			got := expectation(t, tc.expr).Judge(x.Tally, Evidence{Members: mesh, Prediction: tc.p, Requests: x.history.All()})
			if got.Verdict != tc.want {
				t.Errorf("%+v, want %s", got, tc.want)
			}
			if got.Needs != 0 && got.Needs <= x.Requests {
				t.Errorf("needs %d after %d requests", got.Needs, x.Requests)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		expr            string
		us, eu, unknown int
		want            Verdict
	}{
		{"us>40%", 500, 500, 0, Pass}, {"us>40%", 45, 55, 0, Inconclusive}, {"us>40%", 300, 700, 0, Fail},
		{"us>40%", 500, 400, 100, Pass}, {"us>40%", 400, 500, 100, Inconclusive},
		{"us<60%", 500, 500, 0, Pass}, {"us<60%", 700, 300, 0, Fail}, {"us<60%", 500, 300, 200, Inconclusive},
		{"us>0%", 1, 99, 0, Pass}, {"us>0%", 0, 100, 0, Inconclusive}, {"us<100%", 99, 1, 0, Pass}, {"us<100%", 100, 0, 0, Inconclusive},
		{"us<100%", 99, 0, 1, Inconclusive},
	} {
		got := expectation(t, tc.expr).Judge(tallyOf(tc.us, tc.eu, tc.unknown, 0), Evidence{Members: mesh})
		if got.Verdict != tc.want {
			t.Errorf("%+v: %+v", tc, got)
		}
	}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	const fast = 5 * time.Millisecond
	start := time.Unix(1000, 0)
	for name, tc := range map[string]struct {
		fill func(*sample)
		mark time.Time
		want Verdict
	}{
		"nothing fails":            {func(x *sample) { x.timed(200, "us", fast) }, time.Time{}, Pass},
		"one second":               {func(x *sample) { x.timed(100, "us", fast); x.refused(50); x.timed(100, "eu", fast) }, time.Time{}, Pass},
		"three seconds":            {func(x *sample) { x.timed(100, "us", fast); x.refused(150); x.timed(100, "eu", fast) }, time.Time{}, Fail},
		"on the edge":              {func(x *sample) { x.timed(100, "us", fast); x.refused(99); x.timed(100, "eu", fast) }, time.Time{}, Inconclusive},
		"before the mark":          {func(x *sample) { x.refused(150); x.timed(200, "us", fast) }, start.Add(3 * time.Second), Pass},
		"not over":                 {func(x *sample) { x.timed(100, "us", fast); x.refused(50) }, time.Time{}, Inconclusive},
		"not over, and long":       {func(x *sample) { x.timed(100, "us", fast); x.refused(150) }, time.Time{}, Fail},
		"a second one is not over": {func(x *sample) { x.timed(100, "us", fast); x.refused(50); x.timed(9, "eu", fast); x.refused(20) }, time.Time{}, Inconclusive},
		"not measured":             {func(x *sample) { x.timed(100, "us", fast); x.refused(50); x.untimed("eu", time.Second) }, time.Time{}, Inconclusive},
		"not measured, but short":  {func(x *sample) { x.timed(100, "us", fast); x.refused(50); x.untimed("eu", fast) }, time.Time{}, Pass},
		"the mark is too late":     {func(x *sample) { x.timed(100, "us", fast) }, start.Add(time.Hour), Inconclusive},
	} {
		x := newSample()
		tc.fill(x)
		got := expectation(t, "failover<2s").Judge(x.Tally, Evidence{Members: mesh, Requests: x.history.All(), Mark: tc.mark})
		if got.Verdict != tc.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := expectation(t, "failover<2s").Judge(tallyOf(10, 10, 0, 0), Evidence{Members: mesh}); got.Verdict != Inconclusive {
		t.Errorf("without times: %+v", got)
	}
}

// A latency gate passes in at least 99 % of the runs of a fast Service, and in at most 1 % of the runs of a slow one.
func TestLatencyGates(t *testing.T) {
	t.Parallel()
	const runs = 1000
	for name, tc := range map[string]struct {
		slow        float64 // the true part of slow requests
		least, most int
	}{
		"fast": {0.002, runs * 99 / 100, runs},
		"slow": {0.02, 0, runs / 100},
		"edge": {0.01, 0, runs * 5 / 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passed := 0
			for seed := range uint64(runs) {
				random := rand.New(rand.NewPCG(seed, 7))
				verdict, _ := run(t, "p99<250ms", 400, 10000, func() (reply.Reply, origin.Match) {
					took := 20 * time.Millisecond
					if random.Float64() < tc.slow {
						took = 400 * time.Millisecond
					}
					return reply.Reply{Status: 200, Latency: took, Measured: true}, from("us")
				})
				if verdict == Pass {
					passed++
				}
			}
			if passed < tc.least || passed > tc.most {
				t.Errorf("%d of %d runs passed, want %d to %d", passed, runs, tc.least, tc.most)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"p99<250ms": "percentile  250ms", "p99.9(eu)<1s": "percentile eu 1s", "failover<2s": "failover  2s", "us>40%": "above us 0s", "us<40%": "below us 0s",
	} {
		e := expectation(t, expr)
		if got := fmt.Sprintf("%s %s %s", e.kind, e.name, e.limit); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
	for _, expr := range []string{
		"p99<", "p99<0ms", "p99<-1s", "p0<1s", "p100<1s", "p<1s", "p99()<1s", "p99(mars)<1s", "p99>1s", "p99=1s", "failover<0s", "failover>2s", "failover=2s", "failover<x",
		"us>100%", "us<0%", "us>x", "us>", ">5%", "mars>5%", "errors>5%",
	} {
		if es, err := ParseExpectations([]string{expr}, mesh, false); err == nil {
			t.Errorf("%s: %+v", expr, es)
		}
	}
}

func FuzzParseExpectations(f *testing.F) {
	for _, s := range []string{"us=50%", "us=50%±3", "only=us", "errors<1%", "p99(eu)<400ms", "failover<2s", "us>4%,eu<5%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		es, err := ParseExpectations([]string{s}, mesh, true)
		if err != nil {
			return
		}
		for _, e := range es {
			if e.value < 0 || e.value > 1 || e.limit < 0 || e.tolerance < 0 {
				t.Errorf("%q: %+v", s, e)
			}
			e.Judge(tallyOf(3, 2, 1, 1), Evidence{Members: mesh, Looks: 3})
			e.Needs(3)
		}
	})
}
