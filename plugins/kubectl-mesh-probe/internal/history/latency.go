package history

import (
	"slices"
	"time"
)

// Latency is a summary of times. A percentile is nil if fewer than ten values are above it.
type Latency struct {
	N              int
	Min, Mean, Max time.Duration
	P50, P95, P99  *time.Duration
	Histogram      []Bucket
}

// Bucket counts the times that are at most Le, and above the Le of the bucket below it in bounds.
type Bucket struct {
	Le    time.Duration
	Count int
}

// bounds are six steps for each power of ten, from 0.1 ms to 700 s, so that the usual limits (1, 2 and 5 times a power of ten) are among them.
var bounds = func() []time.Duration {
	var out []time.Duration
	for unit := 100 * time.Microsecond; unit <= 100*time.Second; unit *= 10 {
		for _, part := range []float64{1, 1.5, 2, 3, 5, 7} {
			out = append(out, time.Duration(part*float64(unit)))
		}
	}
	return out
}()

// Summarize returns the summary of times, nil without any. It sorts them.
func Summarize(times []time.Duration) *Latency {
	n := len(times)
	if n == 0 {
		return nil
	}
	slices.Sort(times)
	l := &Latency{N: n, Min: times[0], Max: times[n-1], Histogram: histogram(times)}
	var sum time.Duration
	for _, d := range times {
		sum += d
	}
	l.Mean = sum / time.Duration(n)
	l.P50, l.P95, l.P99 = percentile(times, 50), percentile(times, 95), percentile(times, 99)
	return l
}

// percentile is the nearest rank of sorted times. It is nil if fewer than ten values are above it.
func percentile(sorted []time.Duration, p int) *time.Duration {
	n := len(sorted)
	if n*(100-p) < 10*100 {
		return nil
	}
	v := sorted[(n*p+99)/100-1]
	return &v
}

// histogram returns the buckets from the first to the last that is not empty. Times above all bounds are in a last bucket with the maximum.
func histogram(sorted []time.Duration) []Bucket {
	var out []Bucket
	for i := 0; i < len(sorted); {
		at, _ := slices.BinarySearch(bounds, sorted[i])
		le := sorted[len(sorted)-1]
		if at < len(bounds) {
			le = bounds[at]
		}
		end, _ := slices.BinarySearch(sorted[i:], le+1)
		out = append(out, Bucket{Le: le, Count: end})
		i += end
	}
	return out
}

// Latencies returns the measured times of the answers that match, sorted. A request without a reply has no latency.
func (l *Log) Latencies(matches func(Request) bool) []time.Duration {
	var out []time.Duration
	for r := range l.All() {
		if r.Measured && r.Answered() && matches(r) {
			out = append(out, r.Latency())
		}
	}
	slices.Sort(out)
	return out
}
