package wire

import "time"

// Offset is the difference between the pod's clock and the plugin's. The zero value knows nothing.
type Offset struct {
	// zero is the plugin's time at which the pod's clock showed 0. It is wrong by at most half of width.
	zero  time.Time
	width time.Duration
	asked time.Time
}

// offsetAge is for how long a measurement is preferred to a less exact one. Clocks drift apart by less than a millisecond in that time.
const offsetAge = 10 * time.Second

// leastStep is by how much two readings of a clock must contradict each other so that it was set meanwhile. A smaller difference is drift.
const leastStep = 10 * time.Millisecond

// Learn takes a measurement: the pod's clock was read between two moments of the plugin's clock. One that contradicts the last measurement replaces it,
// because the clock was set.
func (o *Offset) Learn(pod int64, asked, answered time.Time) {
	width := answered.Sub(asked)
	if o.Known() && width > o.width && asked.Sub(o.asked) < offsetAge && o.Allows(pod, asked, answered) {
		return
	}
	*o = Offset{zero: asked.Add(width/2 - time.Duration(pod)*time.Microsecond), width: width, asked: asked}
}

// Known reports whether there is a measurement.
func (o Offset) Known() bool { return !o.asked.IsZero() }

// Error is by how much a conversion may be wrong, in either direction.
func (o Offset) Error() time.Duration { return o.width / 2 }

// Allows reports whether the pod's clock can have shown a time between two moments of the plugin's clock. If not, it was set since the measurement, or
// between it and that time. It is true without a measurement.
func (o Offset) Allows(pod int64, earliest, latest time.Time) bool {
	at, wrong := o.Local(pod), o.Error()+leastStep
	return !o.Known() || !at.Add(wrong).Before(earliest) && !at.Add(-wrong).After(latest)
}

// Local returns the plugin's time at which the pod's clock showed a time.
func (o Offset) Local(pod int64) time.Time { return o.zero.Add(time.Duration(pod) * time.Microsecond) }

// Pod returns what the pod's clock shows at a time of the plugin's clock.
func (o Offset) Pod(local time.Time) int64 { return int64(local.Sub(o.zero) / time.Microsecond) }
