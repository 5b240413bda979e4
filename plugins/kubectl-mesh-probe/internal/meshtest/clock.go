package meshtest

import (
	"time"
	"unsafe"
)

// AfterStep returns the time that time.Now returns instead of t once the clock of this machine was set by a number of seconds: its wall clock shows
// another time, and its monotonic clock the same. It panics if t has no monotonic clock, or if time.Time is not as it knows it.
func AfterStep(t time.Time, seconds int) time.Time {
	out := t
	// The upper bits of the first word of a time with a monotonic clock are a flag and the seconds, the lower 30 bits are the nanoseconds.
	*(*uint64)(unsafe.Pointer(&out)) += uint64(seconds) << 30 //nolint:gosec // there is no other way to make such a time
	if step := time.Duration(seconds) * time.Second; out.Sub(t) != 0 || out.Round(0).Sub(t.Round(0)) != step {
		panic("this version of Go keeps times in another way")
	}
	return out
}
