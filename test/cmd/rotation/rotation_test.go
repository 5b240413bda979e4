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
	restart := row{restarts: []time.Time{at(20)}}
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
		r := restart
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
