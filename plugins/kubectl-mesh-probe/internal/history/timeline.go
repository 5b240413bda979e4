package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// Interval is a part of a run. It counts the requests that should have started, or started, in it.
type Interval struct {
	Start    time.Time
	Requests int
	// Answers counts the attributed replies by who sent them.
	Answers map[string]int
	// Unknown counts the replies with an unknown sender, NoAnswer the requests without a reply, Errors all that failed.
	Unknown, NoAnswer, Errors int

	times []time.Duration
}

// Median and Max summarize the latency of the answers. They are 0 if nothing was measured.
func (i Interval) Median() time.Duration {
	if len(i.times) == 0 {
		return 0
	}
	return i.times[(len(i.times)-1)/2]
}

// Max is the maximum of the latency.
func (i Interval) Max() time.Duration {
	if len(i.times) == 0 {
		return 0
	}
	return i.times[len(i.times)-1]
}

const (
	// minWidth is the minimum width of an interval.
	minWidth = 100 * time.Millisecond
	// maxIntervals is how many intervals a run has at most.
	maxIntervals = 60
)

// widths are the widths of intervals, in steps of at most 2.5, so that a run has at least 24 intervals if it is long enough.
var widths = []time.Duration{
	minWidth, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second,
	30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour,
}

// Width is how long the intervals of a run of this length are.
func Width(run time.Duration) time.Duration {
	for _, w := range widths {
		if run < w*maxIntervals {
			return w
		}
	}
	w := widths[len(widths)-1]
	for run >= w*maxIntervals {
		w *= 2
	}
	return w
}

// Timeline divides a run into intervals of the same width. Every interval of the run is in it, also those without requests.
type Timeline struct {
	Width     time.Duration
	intervals []Interval
}

// NewTimeline returns a timeline that begins at a moment. Earlier requests count for its first interval.
func NewTimeline(first time.Time, width time.Duration) *Timeline {
	return &Timeline{Width: width, intervals: []Interval{{Start: first, Answers: map[string]int{}}}}
}

// Add counts a request.
func (t *Timeline) Add(r Request) {
	at := int(max(0, r.From().Sub(t.intervals[0].Start)/t.Width))
	t.grow(at)
	t.intervals[at].add(r)
}

// Extend adds empty intervals up to the one that contains a moment. An earlier moment changes nothing.
func (t *Timeline) Extend(last time.Time) { t.grow(int(last.Sub(t.intervals[0].Start) / t.Width)) }

func (t *Timeline) grow(at int) {
	for len(t.intervals) <= at {
		next := t.intervals[len(t.intervals)-1].Start.Add(t.Width)
		t.intervals = append(t.intervals, Interval{Start: next, Answers: map[string]int{}})
	}
}

// Keep drops the first intervals, so that at most this many are left.
func (t *Timeline) Keep(most int) {
	if extra := len(t.intervals) - most; extra > 0 {
		t.intervals = slices.Delete(t.intervals, 0, extra)
	}
}

// Intervals returns the intervals.
func (t *Timeline) Intervals() []Interval {
	for _, i := range t.intervals {
		slices.Sort(i.times)
	}
	return t.intervals
}

func (i *Interval) add(r Request) {
	i.Requests++
	if !r.OK() {
		i.Errors++
	}
	switch {
	case r.Cluster != "":
		i.Answers[r.Cluster]++
	case r.Answered():
		i.Unknown++
	default:
		i.NoAnswer++
	}
	if r.Measured && r.Answered() {
		i.times = append(i.times, r.Latency())
	}
}

// Failure is a row of the table of errors.
type Failure struct {
	Class reply.Class
	// Cluster is who sent the error, or else the only cluster that can have answered. It is empty if that is unknown. Predicted says that it
	// relies on the prediction.
	Cluster   string
	Predicted bool
	Count     int
	// First and Last are when the first and the last of these requests should have started, or started.
	First, Last time.Time
	// Sample is the message of the first one that has a message.
	Sample string
}

// Failures is the table of errors of one client.
type Failures struct {
	// Only is the only cluster that can have answered, according to the prediction. It is empty if there are several.
	Only string

	rows map[failureKey]*Failure
}

type failureKey struct {
	class     reply.Class
	cluster   string
	predicted bool
}

// Add counts a request if it failed.
func (t *Failures) Add(r Request) {
	if r.OK() {
		return
	}
	k := failureKey{r.Class, r.Cluster, false}
	if r.Cluster == "" && t.Only != "" {
		k.cluster, k.predicted = t.Only, true
	}
	at := r.From()
	f := t.rows[k]
	if f == nil {
		if t.rows == nil {
			t.rows = map[failureKey]*Failure{}
		}
		f = &Failure{Class: k.class, Cluster: k.cluster, Predicted: k.predicted, First: at, Last: at}
		t.rows[k] = f
	}
	f.Count++
	f.Sample = cmp.Or(f.Sample, r.Message)
	if at.Before(f.First) {
		f.First = at
	}
	if at.After(f.Last) {
		f.Last = at
	}
}

// Rows returns the rows, the most frequent first.
func (t *Failures) Rows() []Failure {
	out := make([]Failure, 0, len(t.rows))
	for _, f := range t.rows {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(boolean(a.Predicted), boolean(b.Predicted)))
	})
	return out
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
