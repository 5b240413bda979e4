package sender

import (
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// A measurement of the pod's clock that is better than that of the order is not a step of the clock. The lag is exact: both of its times are the pod's.
func TestTimesAfterABetterMeasurement(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	base := time.Unix(1_800_000_000, 0)
	at := base.Add
	for name, tc := range map[string]struct {
		wrong, error time.Duration // by how much the time of the order was wrong, and how wrong it could be
		lag          time.Duration
	}{
		"exact":                 {0, 5 * ms, 3 * ms},
		"too early, as allowed": {-45 * ms, 50 * ms, 3 * ms},
		"too late, as allowed":  {45 * ms, 50 * ms, 3 * ms},
		"the clock was set":     {100 * ms, 50 * ms, 103 * ms},
		"it was set a little":   {45 * ms, 5 * ms, 48 * ms},
	} {
		var offset wire.Offset
		offset.Learn(at(0).UnixMicro(), at(-5*ms), at(5*ms))
		start := 200*ms + tc.wrong
		f := flight{due: at(200 * ms), at: at(start).UnixMicro(), wrong: tc.error}
		o := &wire.Launch{Ordered: at(0), Seen: at(start + 5*ms), Arrived: at(start + 40*ms), Began: at(start + 3*ms).UnixMicro(), Finished: at(start + 33*ms).UnixMicro()}
		var r reply.Reply
		if f.times(&r, o, offset, 0); r.Lag != tc.lag || !r.Measured || r.Uncertain != 10*ms {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A pod's clock that is set during the run changes no time by its step: neither when a request started, nor how late it was, nor how long it took.
func TestTimesWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	base := time.Unix(1_800_000_000, 0)
	at := base.Add
	pod := func(d, step time.Duration) int64 { return at(d + step).UnixMicro() }
	known := func(step time.Duration) wire.Offset { // measured after the clock was set by this
		var o wire.Offset
		o.Learn(pod(-ms, step), at(-2*ms), at(0))
		return o
	}
	// A request is ordered at 0 and due at 200 ms. It starts at 201 ms and ends at 231 ms. Each report takes 2 ms.
	for name, tc := range map[string]struct {
		planned, began, finished, measured time.Duration // by how much the clock had been set
		unknown                            bool          // nothing is known about the clock at the end
		noClock                            bool
	}{
		"never":                            {},
		"before the plan":                  {2 * time.Second, 2 * time.Second, 2 * time.Second, 2 * time.Second, false, false},
		"forwards before the start":        {0, 2 * time.Second, 2 * time.Second, 0, false, true},
		"forwards, and noticed":            {0, 2 * time.Second, 2 * time.Second, 2 * time.Second, false, false},
		"backwards before the start":       {0, -time.Second, -time.Second, 0, false, true},
		"backwards, and noticed":           {0, -time.Second, -time.Second, -time.Second, false, false},
		"forwards during the request":      {0, 0, 2 * time.Second, 0, false, true},
		"forwards during it, and noticed":  {0, 0, 2 * time.Second, 2 * time.Second, false, true},
		"backwards during the request":     {0, 0, -time.Second, 0, false, true},
		"backwards during it, and noticed": {0, 0, -time.Second, -time.Second, false, true},
		"noticed, and not measured yet":    {0, 2 * time.Second, 2 * time.Second, 0, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &wire.Launch{Ordered: at(0), Seen: at(203 * ms), Arrived: at(233 * ms), Began: pod(201*ms, tc.began), Finished: pod(231*ms, tc.finished)}
			f, offset := flight{due: at(200 * ms), at: pod(200*ms, tc.planned)}, known(tc.measured)
			if tc.unknown {
				offset = wire.Offset{}
			}
			var r reply.Reply
			f.times(&r, o, offset, 0)
			if tc.noClock {
				if r.Measured || !r.Start.Equal(at(0)) || r.Uncertain != 203*ms || r.Lag != 3*ms || r.Latency != 233*ms {
					t.Errorf("%+v", r)
				}
				return
			}
			if !r.Measured || !r.Start.Equal(at(200*ms)) || r.Uncertain != 2*ms || r.Lag != ms || r.Latency != 30*ms {
				t.Errorf("%+v", r)
			}
		})
	}
}
