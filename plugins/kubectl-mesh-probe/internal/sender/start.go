package sender

import (
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// starts works out when each request of a batch started. The requests of a batch run one after the other, so the next one starts when the
// one before it has ended. A tool that does not measure requests leaves only the beginning and the end of the batch.
type starts struct {
	next time.Time // the earliest moment at which the next request can have started
}

// measured sets the start of a request whose duration is known. It arrived at a moment that is not earlier than its end.
func (s *starts) measured(r *reply.Reply, arrived time.Time) {
	latest := arrived.Add(-r.Latency)
	r.Start = s.next
	if latest.Before(r.Start) {
		r.Start = latest
	}
	r.Uncertain = latest.Sub(r.Start)
	s.next = r.Start.Add(r.Latency)
}

// replies sets the starts of the replies that a batch leaves at its end. Those that were not measured are spread evenly over the time. Each of
// them may have started at any moment of it, and ended at its end: one that waits for its time limit takes all the time of the others.
func (s *starts) replies(all []reply.Reply, ended time.Time) {
	begun := s.next
	step := ended.Sub(begun) / time.Duration(max(1, len(all)))
	// A request ended before those after it started.
	before, latest := make([]time.Time, len(all)), ended
	for i := range slices.Backward(all) {
		if before[i] = latest; all[i].Measured {
			latest = latest.Add(-all[i].Latency)
		}
	}
	for i := range all {
		if all[i].Measured {
			s.measured(&all[i], before[i])
			continue
		}
		all[i].Start, all[i].Latency = s.next, ended.Sub(s.next)
		all[i].Uncertain = max(all[i].Latency, s.next.Sub(begun))
		s.next = s.next.Add(step)
	}
}
