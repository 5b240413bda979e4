package main

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/test/labclient"
)

// A change that nobody has seen is a gap until the end: a mesh whose synchronization died for good does not pass.
func TestGaps(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return begun.Add(time.Duration(seconds * float64(time.Second))) }
	replaced := row{restarts: []restart{{at(20), at(20)}}}
	for name, c := range map[string]struct {
		seen    map[string][2]float64 // by address: when made, when seen; 0 is never
		longest time.Duration
		calm    time.Duration
		problem string
	}{
		"all seen":             {map[string][2]float64{"a": {1, 2}, "b": {4, 5.5}}, 1500 * time.Millisecond, 1500 * time.Millisecond, ""},
		"slow at a restart":    {map[string][2]float64{"a": {1, 2}, "b": {20, 28}}, 8 * time.Second, time.Second, ""},
		"slow without one":     {map[string][2]float64{"a": {1, 7}}, 6 * time.Second, 6 * time.Second, "while nothing restarted"},
		"too slow":             {map[string][2]float64{"a": {20, 37}}, 17 * time.Second, 0, "was not seen for 17s"},
		"never again":          {map[string][2]float64{"a": {1, 2}, "b": {25, 0}}, 35 * time.Second, time.Second, "was not seen for 35s"},
		"the last one, unseen": {map[string][2]float64{"a": {1, 2}, "b": {59.5, 0}}, time.Second, time.Second, ""},
	} {
		w := &watchers{l: &lab{clusters: []labclient.Cluster{{Name: "us"}, {Name: "eu"}}}, made: map[string]sighting{}, last: map[string]time.Time{}, ended: at(60)}
		w.attempts = []attempt{{Start: at(1).UnixMilli(), Took: 1}}
		for address, when := range c.seen {
			s := sighting{from: "us", to: "eu", made: at(when[0]), seen: at(when[1])}
			w.made[address] = s
			if when[1] > 0 {
				w.seen, w.last["eu "+address] = append(w.seen, s), s.seen
			}
		}
		r := replaced
		r.begun, r.end = at(0), at(60)
		longest, calm := w.gaps(r.begun, r.end, func(at time.Time) bool { return quiet([]row{r}, at) })
		if longest != c.longest || calm != c.calm {
			t.Errorf("%s: %s and %s, want %s and %s", name, longest, calm, c.longest, c.calm)
		}
		var out strings.Builder
		if err := judge([]row{r}, w, &out); (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The time between two looks is not the change's, up to a limit. What was looked at in between proves that it was late.
func TestTook(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return begun.Add(time.Duration(seconds * float64(time.Second))) }
	for name, c := range map[string]struct {
		before, seen float64
		want         time.Duration
	}{
		"looks every second":       {5, 6, 5 * time.Second},
		"a busy machine":           {4, 6.5, 4 * time.Second},
		"an agent that was blind":  {0, 20, 17 * time.Second},
		"the look before the move": {-0.5, 1, 0},
	} {
		if got := (sighting{made: at(0), before: at(c.before), seen: at(c.seen)}).took(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := (sighting{made: at(0), seen: at(6)}).took(); got != 6*time.Second {
		t.Errorf("without a look before: %s", got)
	}
}

// A slow replacement may take its time, and nothing is calm until it has ended. A change that is late even then does not pass.
func TestSlowReplacement(t *testing.T) {
	t.Parallel()
	begun := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return begun.Add(time.Duration(seconds) * time.Second) }
	for seen, want := range map[int]string{45: "", 57: "was not seen for 37s"} {
		r := row{begun: at(0), end: at(90), restarts: []restart{{at(20), at(40)}}}
		w := &watchers{l: &lab{clusters: []labclient.Cluster{{Name: "us"}, {Name: "eu"}}}, made: map[string]sighting{}, last: map[string]time.Time{}, ended: at(100)}
		w.attempts = []attempt{{Start: at(1).UnixMilli(), Took: 1}}
		w.seen = []sighting{{from: "us", to: "eu", made: at(20), seen: at(seen)}}
		var out strings.Builder
		if err := judge([]row{r}, w, &out); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("seen at %d: %v", seen, err)
		}
	}
}

// A request that times out has failed, unless its client could not even begin the next ones.
func TestBetween(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pause           int64 // ms between two attempts
		err             string
		failed, unclear int
	}{
		"answered":        {20, "", 0, 0},
		"timed out":       {20, "timeout", 1, 0},
		"stood still":     {700, "timeout", 0, 1},
		"refused, slowly": {700, "refused", 1, 0},
	} {
		w := &watchers{attempts: []attempt{{Start: 1000, Took: 2000, Error: c.err, from: "us"}}}
		for start := 1000 + c.pause; start < 4000; start += c.pause {
			w.attempts = append(w.attempts, attempt{Start: start, Took: 1, from: "us"})
		}
		for start := int64(1000); start < 4000; start += 20 { // another client
			w.attempts = append(w.attempts, attempt{Start: start, Took: 1, from: "eu"})
		}
		if _, failed, unclear := w.between(time.UnixMilli(0), time.UnixMilli(5000)); failed != c.failed || unclear != c.unclear {
			t.Errorf("%s: %d failed, %d unclear", name, failed, unclear)
		}
	}
}
