package history

import (
	"slices"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// A clock that is set during a run makes no outage and hides none. There are 100 requests, 50 each second, and the clock is set before the 51st.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seconds    int
		fails      int // so many requests from the 51st on fail
		low, high  time.Duration
		begins     int // the request whose answer is the last one before the gap
		resolution time.Duration
	}{
		"forwards":            {60, 0, 15 * time.Millisecond, 30 * time.Millisecond, -1, 20 * time.Millisecond},
		"forwards, failures":  {60, 5, 115 * time.Millisecond, 130 * time.Millisecond, 49, 20 * time.Millisecond},
		"backwards":           {-5, 0, 15 * time.Millisecond, 30 * time.Millisecond, -1, 20 * time.Millisecond},
		"backwards, failures": {-5, 5, 115 * time.Millisecond, 130 * time.Millisecond, 49, 20 * time.Millisecond},
		"not set, failures":   {0, 5, 115 * time.Millisecond, 130 * time.Millisecond, 49, 20 * time.Millisecond},
	} {
		start := time.Now()
		var log Log
		for n := range 100 {
			due := start.Add(time.Duration(n) * 20 * time.Millisecond) // the schedule was made before the step
			one := reply.Reply{Due: due, Start: due, Latency: 2 * time.Millisecond, Measured: true, Status: 200}
			if n >= 50 {
				one.Start = meshtest.AfterStep(one.Start, c.seconds)
				if n < 50+c.fails {
					one.Class = reply.Class5xx
				}
			}
			log.Add(New(Client{Cluster: "us", Pod: "client"}, one, origin.Match{Name: "eu", Member: true}))
		}
		requests := slices.Collect(log.All())
		o := FindOutage(requests, requests[0].Start, "")
		if o.Gap < c.low || o.Gap > c.high || o.Resolution != c.resolution || !o.Recovered || o.Failed != c.fails {
			t.Errorf("%s: gap %s, resolution %s, %d failed", name, o.Gap, o.Resolution, o.Failed)
		}
		if c.begins >= 0 && !o.GapStart.Equal(requests[c.begins].End()) {
			t.Errorf("%s: the gap begins at %s", name, o.GapStart)
		}
		if first, last := log.Span(); last.Round(0).Sub(first.Round(0)) != 99*20*time.Millisecond {
			t.Errorf("%s: from %s to %s", name, first, last)
		}
	}
}

// A time keeps its monotonic clock, because a drill waits until such a time. One without it stays the same moment.
func TestSteady(t *testing.T) {
	t.Parallel()
	for _, want := range []time.Time{{}, epoch, epoch.In(time.FixedZone("CET", 3600)), time.Unix(0, 1)} {
		if got := Steady(want); !got.Equal(want) || got.IsZero() != want.IsZero() {
			t.Errorf("%s: %s", want, got)
		}
	}
	now := time.Now()
	if got := Steady(meshtest.AfterStep(now, 60)); got.Sub(now) != 0 || got.Round(0).Sub(Steady(now).Round(0)) != 0 {
		t.Errorf("%s after %s", got, now)
	}
}
