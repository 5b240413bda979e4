package probe

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// send sends the requests of all clients at once. With several targets, the first requests of all clients start at one moment.
func (r *run) send(ctx context.Context) {
	stopShow := r.ui.Show(r.progress)
	stopFollow := r.follow(ctx)
	waitForAction := r.act(ctx)
	stopEarly := r.endWith(r.cfg.Send.Stop)
	ready := slices.DeleteFunc(slices.Clone(r.clients), func(c *client) bool { return c.err != nil })
	var gate *sender.Gate
	if len(r.services) > 1 {
		gate = sender.NewGate(len(ready), r.cfg.Send)
	}
	var wg sync.WaitGroup
	for _, c := range ready {
		wg.Go(func() { r.sendFrom(ctx, c, gate) })
	}
	wg.Wait()
	waitForAction()
	stopEarly()
	stopFollow()
	stopShow()
}

// sendFrom sends the requests of one client, and more while its checks need more.
func (r *run) sendFrom(ctx context.Context, c *client, gate *sender.Gate) {
	cfg := r.cfg.Send
	cfg.Target, cfg.Stop, cfg.Gate = c.to.url, r.ending, gate
	r.setGoal(c, cfg.Count)
	for look := 1; ; look++ {
		res, err := sender.Run(ctx, c.exec(), cfg, func(one reply.Reply) {
			from := c.identifier().Identify(&one)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.count(c, one, from)
		})
		if err != nil {
			err = c.explain(err, r.cfg.Clients)
			if look == 1 {
				c.unsent = err
				return
			}
			res = sender.Result{Tool: c.result.Tool, Start: c.result.Start, End: c.result.End, Reason: err.Error()}
		}
		c.result = join(c.result, res)
		if !c.result.Complete || cfg.Duration > 0 || ctx.Err() != nil || r.isEnding() {
			return
		}
		goal := r.extend(c, look)
		if goal == 0 {
			return
		}
		cfg.Count, cfg.Gate = goal-c.tally.Requests, nil
		r.setGoal(c, goal)
	}
}

// liveIntervals is how many intervals the progress has at most.
const liveIntervals = 60

// endWith ends the run when stop is closed, until the returned function is called.
func (r *run) endWith(stop <-chan struct{}) (cancel func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-stop:
			r.mu.Lock()
			defer r.mu.Unlock()
			if !r.isEnding() {
				close(r.ending)
			}
		case <-over:
		}
	})
	return func() {
		close(over)
		wg.Wait()
	}
}

// isEnding reports whether the run is to end early.
func (r *run) isEnding() bool {
	select {
	case <-r.ending:
		return true
	default:
		return false
	}
}

// count adds one reply to the tally of a client and to the history, and ends the run if too many fail. The caller holds the lock.
func (r *run) count(c *client, one reply.Reply, from origin.Match) {
	request := history.New(c.by(), one, from)
	request.Reply = c.tally.Add(one, from)
	r.history.Add(request)
	r.events.first.Do(func() {
		close(r.events.begun)
		r.startTimelines(request.From())
	})
	for _, t := range []*history.Timeline{r.live, c.to.live} {
		if t != nil {
			t.Add(request)
			t.Keep(liveIntervals)
		}
	}
	if r.cfg.Recorder != nil {
		r.cfg.Recorder.Request(request)
	}
	if c.abort != nil && !r.isEnding() && c.abort.Add(one.Class != "") {
		c.aborted = true
		close(r.ending)
	}
	if r.cfg.Observe != nil {
		r.cfg.Observe(request)
	}
}

// startTimelines starts what the progress shows: the intervals of the run, and with several targets those of each.
func (r *run) startTimelines(first time.Time) {
	width := cmp.Or(history.Width(r.expectedDuration()), time.Second)
	r.live = history.NewTimeline(first, width)
	if len(r.services) > 1 {
		for _, s := range r.services {
			s.live = history.NewTimeline(first, width)
		}
	}
}

// reattribute attributes unknown replies of a client with the names that are known by now, in the tally and in the history.
func (r *run) reattribute(c *client) {
	c.tally.Reattribute(c.identifier(), func(distinct int, from origin.Match) {
		r.history.Attribute(c.by(), distinct, from)
		if r.cfg.Recorder != nil {
			r.cfg.Recorder.Attributed(c.by(), distinct, from)
		}
	})
}

// extend judges the tally and returns how many requests there should be in total, or 0 if no more are needed.
func (r *run) extend(c *client, look int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reattribute(c)
	return judge.Extend(r.checks(c), c.tally.Requests, r.cfg.MaxCount, look)
}

// join is the result of a run and its extension.
func join(first, second sender.Result) sender.Result {
	if first.Start.IsZero() {
		return second
	}
	second.Start = first.Start
	second.Requests += first.Requests
	second.TLSFailures += first.TLSFailures
	second.Schedule = first.Schedule.Join(second.Schedule)
	second.Warnings = slices.Compact(slices.Sorted(slices.Values(slices.Concat(first.Warnings, second.Warnings))))
	return second
}

// setGoal sets how many requests a client is to send in total.
func (r *run) setGoal(c *client, requests int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.goal = requests
}

// progress sums up all clients.
func (r *run) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	var p Progress
	for _, s := range r.services {
		p.URLs = append(p.URLs, s.url.String())
	}
	for _, m := range r.mesh.members {
		p.Answers = append(p.Answers, Answers{Cluster: m.Name})
	}
	for _, c := range r.clients {
		p.Requests += c.tally.Requests
		if r.cfg.Send.Duration == 0 {
			p.Target += c.goal
		}
		p.Errors += c.tally.Failed()
		p.Unknown += c.tally.Unknown
		for i := range p.Answers {
			p.Answers[i].Requests += c.tally.Count(p.Answers[i].Cluster)
		}
	}
	now := history.Steady(time.Now())
	if r.live != nil {
		p.Intervals, p.Width = lastIntervals(r.live, now), r.live.Width
		p.Begun, _ = r.history.Span()
	}
	for _, s := range r.services {
		if s.live != nil {
			p.ByURL = append(p.ByURL, lastIntervals(s.live, now))
		}
	}
	p.Marks = r.marksUntil(now)
	return p
}

// lastIntervals describes the last intervals up to a moment.
func lastIntervals(t *history.Timeline, now time.Time) []v1alpha1.ProbeTimeInterval {
	t.Extend(now)
	t.Keep(liveIntervals)
	return summary.Intervals(t)
}

// followEvery is how often the state is read during a run. What happens between two readings shows in the resourceVersion of the Service.
const followEvery = 2 * time.Second

// follow reads the state repeatedly during the run. It learns the names of new pods, and notices a prediction that changes, even if it
// changes back. A member that does not answer here is read again at the end.
func (r *run) follow(ctx context.Context) (stop func()) {
	found := r.found()
	if len(found) == 0 {
		return func() {}
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(cmp.Or(r.cfg.FollowEvery, followEvery))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-over:
				return
			case <-tick.C:
			}
			snaps := r.snapshots(ctx, found, r.mesh.look)
			if ctx.Err() != nil {
				return
			}
			r.notice(snaps)
		}
	})
	return func() {
		close(over) // finish a reading that has begun: client-go logs one that is cancelled
		wg.Wait()
	}
}

// notice compares and learns what was read during the run. A member that does not answer now does not make the names of the others doubtful: what it
// had before still counts, and it is read again at the end.
func (r *run) notice(snaps snapshots) {
	r.compare(snaps)
	for s, snap := range snaps {
		s.senders.learn(snap, s.key, s.sent(r.cfg.Send.Request), r.clientClusters(s), r.mesh.silent(snap))
	}
}

// requestsOf returns the requests of one client. The caller holds the lock, or nothing is sent any more.
func (r *run) requestsOf(c *client) iter.Seq[history.Request] {
	return func(yield func(history.Request) bool) {
		for one := range r.history.All() {
			if one.By() == c.by() && !yield(one) {
				return
			}
		}
	}
}
