package history

import (
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// Outage is what clients saw after a moment at which something was done to the backends.
type Outage struct {
	// Mark is that moment. Seen is the end of the last request, until which something is known.
	Mark, Seen time.Time
	// LastFrom is when the last successful answer from the given cluster arrived, and FirstTo the first one from another cluster since
	// the mark, sent by ToCluster. They are zero if there was no such answer.
	LastFrom, FirstTo time.Time
	ToCluster         string
	// Gap is the longest time without a successful answer, counted from the mark. It began at GapStart and ended at GapEnd. Recovered says
	// that a successful answer ended it. Otherwise it lasts at least that long. Where the end of a request is not known exactly, Gap is the
	// longest time that is possible.
	Gap              time.Duration
	GapStart, GapEnd time.Time
	Recovered        bool
	// Requests counts the requests that ended since the mark, Failed those that failed, and Errors the failures by class.
	// FirstError and LastError are when the first and the last of them should have started or started.
	Requests, Failed      int
	Errors                map[reply.Class]int
	FirstError, LastError time.Time
	// Outage is the time from the first to the last request that failed, and the time to the next request. It is 0 if none failed.
	Outage time.Duration
	// Resolution is how much shorter than Gap the true interruption may be, and how wrong Outage may be: the longest time between the starts
	// of two requests around the gap, and what is unknown about these starts and about the two answers at the ends of the gap.
	Resolution time.Duration

	unknown time.Duration // what is unknown about the two answers at the ends of the gap
}

// FindOutage returns what the requests show about the time since a mark. A successful answer counts when it arrives: a request that waits for
// a dead backend and reaches another one at last ends the outage at its end, not at its start. The order of the requests does not matter. To
// ask about a part of a run, pass its requests only. LastFrom needs the name of a cluster.
func FindOutage(requests []Request, mark time.Time, from string) Outage {
	o := Outage{Mark: mark, Seen: mark, GapStart: mark, GapEnd: mark, Errors: map[reply.Class]int{}}
	byEnd := slices.Clone(requests)
	slices.SortStableFunc(byEnd, func(a, b Request) int { return a.End().Compare(b.End()) })
	last, loose := mark, time.Duration(0) // the last successful answer at the earliest, or the mark, and how much later it may have been
	gap := func(r Request) {
		if d := r.End().Sub(last); d > o.Gap || d == o.Gap && r.OK() {
			o.Gap, o.GapStart, o.GapEnd, o.Recovered = d, last, r.End(), r.OK()
			o.unknown = loose + r.End().Sub(latest(mark, r.earliestEnd()))
		}
	}
	for _, r := range byEnd {
		end := r.End()
		if r.OK() && from != "" && r.Cluster == from {
			o.LastFrom = end // also before the mark
		}
		if end.Before(mark) {
			continue
		}
		o.Requests++
		o.Seen = end
		if !r.OK() {
			o.fail(r)
			gap(r)
			continue
		}
		gap(r)
		if at := r.earliestEnd(); at.After(last) {
			last, loose = at, end.Sub(at)
		}
		if o.FirstTo.IsZero() && r.Cluster != "" && r.Cluster != from {
			o.FirstTo, o.ToCluster = end, r.Cluster
		}
	}
	if o.Gap == 0 {
		o.Recovered = o.Requests > o.Failed
	}
	o.resolve(requests)
	return o
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// fail counts a request that failed.
func (o *Outage) fail(r Request) {
	o.Failed++
	o.Errors[r.Class]++
	from := r.From()
	if o.FirstError.IsZero() || from.Before(o.FirstError) {
		o.FirstError = from
	}
	if from.After(o.LastError) {
		o.LastError = from
	}
}

// resolve fills in how exact the result is, and the time between the errors.
func (o *Outage) resolve(requests []Request) {
	byStart := slices.Clone(requests)
	slices.SortStableFunc(byStart, func(a, b Request) int { return a.From().Compare(b.From()) })
	var next time.Time // the first request after the last error
	var step time.Duration
	for i, r := range byStart {
		from := r.From()
		if next.IsZero() && o.Failed > 0 && from.After(o.LastError) {
			next = from
		}
		if i == 0 || from.Before(o.GapStart) || byStart[i-1].From().After(o.GapEnd) {
			continue
		}
		step = max(step, from.Sub(byStart[i-1].From()))
		o.unknown = max(o.unknown, r.Uncertain, byStart[i-1].Uncertain)
	}
	o.Resolution = step + o.unknown
	if o.Failed == 0 {
		return
	}
	if next.IsZero() {
		next = o.Seen
	}
	o.Outage = next.Sub(o.FirstError)
}
