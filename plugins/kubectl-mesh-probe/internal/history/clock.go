package history

import "time"

// began is the moment from which the times of a run are counted.
var began = time.Now()

// Steady returns a time of the plugin's clock as if nobody had set that clock since the plugin started: the monotonic clock says how much time has passed.
// So the difference of two times is right also where only their wall clock is kept, as in a Log or a record. A time without a monotonic clock is the
// same moment.
func Steady(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return began.Add(t.Sub(began))
}
