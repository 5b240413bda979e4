package sender

import (
	"context"
	"errors"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// The open loop sends each request at its time, whatever happens to the others. So it also measures the time during which nobody answers:
// a closed loop that waits for a reply sends nothing meanwhile (coordinated omission).

const (
	// maxFlying is how many requests are under way at once, over all streams. Each is a process in the pod, and counts for its limits.
	maxFlying = 128
	// lateness is by how much more than an interval a request may start late and still be in time.
	lateness = 50 * time.Millisecond
	// maxBehind is by how much the pod may be late before requests are dropped.
	maxBehind = 2 * time.Second
	// A pod that waits by itself gets its orders ahead, so that a slow connection does not delay them. leastAhead is when the plugin
	// sends the next orders, and mostAhead up to when.
	leastAhead, mostAhead = 150 * time.Millisecond, 250 * time.Millisecond
	// clockReadings and startReadings are how often the pod's clock and the start of the tool are measured before the first request.
	clockReadings, startReadings = 5, 3
)

// openRun sends the requests of one stream by the schedule.
type openRun struct {
	job
	ending

	launches *wire.Launches
	// mark starts the tool's record. It differs from the nonce of the stream, because the tool's output is part of a framing line.
	mark     string
	all      *runs
	start    time.Time // of the schedule
	interval time.Duration
	next     int // the next request of the schedule
	step     int // how many streams share the schedule
	toolTime time.Duration
	flying   map[int]flight
	limited  bool
	warned   notes
}

// flight is one request that is under way.
type flight struct {
	due     time.Time
	at      int64         // the pod's clock when the tool is to start; 0 if the plugin orders at the right time
	wrong   time.Duration // by how much at may be wrong, in either direction
	stopped time.Time
}

func newOpenRun(s *wire.Stream, all *runs, first, step int) *openRun {
	j := all.job
	mark := s.Nonce() + "~"
	to := mark
	if j.traits.Measures && j.traits.MaxBatch > 1 {
		to = "%{stderr}" + mark // new in curl 7.63: a long body does not hide the record
	}
	return &openRun{
		job: j, launches: s.StartOpen(j.tool.Program(j.Request, to), j.pod), mark: mark, all: all,
		interval: time.Duration(float64(time.Second) / j.Rate), next: first, step: step, flying: map[int]flight{}, warned: notes{},
	}
}

// run sends the requests. Its error says why the run is incomplete.
func (r *openRun) run(ctx context.Context) error {
	err := r.loop(ctx, r.launches, r, r.Stop)
	r.launches.Close(err == nil)
	return err
}

// due is when a request of the schedule should start.
func (r *openRun) due(n int) time.Time { return r.start.Add(time.Duration(n) * r.interval) }

// finished reports whether the schedule has no more requests.
func (r *openRun) finished() bool {
	if r.all.budget.stopped() {
		return true
	}
	if r.Duration > 0 {
		return r.due(r.next).Sub(r.start) >= r.Duration
	}
	return r.next >= r.Count
}

// orderAt is when the plugin sends the order for the next request, at the latest.
func (r *openRun) orderAt() time.Time {
	at := r.due(r.next).Add(-r.toolTime)
	if r.launches.Waits() {
		at = at.Add(-leastAhead)
	}
	return at
}

// send sends the orders that are due.
func (r *openRun) send(now time.Time) {
	if r.finished() {
		if r.launches.Len() == 0 {
			r.launches.Quit()
		}
		return
	}
	if now.Before(r.orderAt()) {
		return
	}
	until := now
	if r.launches.Waits() {
		until = now.Add(mostAhead)
	}
	for !r.finished() {
		due := r.due(r.next)
		start := due.Add(-r.toolTime)
		if start.After(until) {
			return
		}
		r.next += r.step
		if r.underWay(now) >= max(1, maxFlying/r.step) || r.behind(now) {
			r.all.drop(1)
			continue
		}
		f := flight{due: due}
		if r.launches.Waits() {
			offset := r.launches.Offset()
			f.at, f.wrong = offset.Pod(start), offset.Error()
		}
		var o *wire.Launch
		if r.limited {
			o = r.launches.OrderLimited(r.BodyLimit+headerRoom, f.at)
		} else {
			o = r.launches.Order(f.at)
		}
		r.flying[o.ID] = f
	}
}

// behind reports whether the pod has not started a request for this long that more orders would only make it later.
func (r *openRun) behind(now time.Time) bool {
	for id, f := range r.flying {
		if now.Sub(f.due) > maxBehind && r.launches.Open()[id].Seen.IsZero() {
			return true
		}
	}
	return false
}

// underWay is how many requests should have started and have not ended.
func (r *openRun) underWay(now time.Time) int {
	n := 0
	for _, f := range r.flying {
		if !f.due.After(now) {
			n++
		}
	}
	return n
}

// read processes the requests that have ended.
func (r *openRun) read() error {
	done, broken := r.launches.Read(time.Now())
	for _, o := range done {
		f := r.flying[o.ID]
		delete(r.flying, o.ID)
		if r.interrupted() && o.Code >= 128 {
			continue // the interrupt ended it, so its result is unknown
		}
		one, err := r.reply(o, f)
		if err != nil {
			return err
		}
		r.count(one)
	}
	return broken
}

// count hands a reply on, and adapts the run to it.
func (r *openRun) count(one reply.Reply) {
	if one.Size > r.BodyLimit && r.pod.Head {
		r.limited = true
	}
	r.warned.about(r.traits, one)
	r.all.countDue(one, one.Lag > LateAfter(r.Rate))
}

// sleep returns how long to wait if nothing arrives.
func (r *openRun) sleep(now time.Time) time.Duration {
	at := r.launches.NextBeat()
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if !r.finished() {
		earlier(r.orderAt())
	}
	for id := range r.flying {
		if o := r.launches.Open()[id]; !o.Seen.IsZero() {
			earlier(o.Seen.Add(r.patience()))
		}
	}
	return max(100*time.Microsecond, at.Sub(now))
}

// patience is how long a request may take. A tool that limits the time itself may apply the limit to the name, the connection and the
// reply in turn. If its limit is rounded up, it would accept an answer that is late: then the plugin ends the request.
func (j job) patience() time.Duration {
	if j.traits.LimitsTime && (!j.traits.WholeSeconds || j.Timeout%time.Second == 0) {
		return 2*j.Timeout + 2*time.Second
	}
	return j.Timeout
}

// watch sends heartbeats, and stops requests that take too long.
func (r *openRun) watch(now time.Time) error {
	if err := r.launches.Beat(now); err != nil {
		return err
	}
	for id, f := range r.flying {
		o := r.launches.Open()[id]
		switch {
		case o.Seen.IsZero():
			if now.Sub(f.due) > r.patience()+startTimeout {
				return errors.New("the pod does not start its requests")
			}
		case f.stopped.IsZero() && now.Sub(o.Seen) >= r.patience():
			f.stopped = now
			r.flying[id] = f
			r.launches.Stop(o)
		case !f.stopped.IsZero() && now.Sub(f.stopped) > endTimeout:
			return errors.New("the pod does not end a request that was stopped")
		}
	}
	return nil
}

// endTimeout is how long the pod may take to end a process, and startTimeout how long to start one.
const (
	endTimeout   = 10 * time.Second
	startTimeout = time.Minute
)
