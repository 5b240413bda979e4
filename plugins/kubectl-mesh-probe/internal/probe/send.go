package probe

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// send sends the requests of all clients at once.
func (r *run) send(ctx context.Context) {
	stopShow := r.ui.Show(r.progress)
	stopFollow := r.follow(ctx)
	var wg sync.WaitGroup
	for _, c := range r.clients {
		if c.err == nil {
			wg.Go(func() { r.sendFrom(ctx, c) })
		}
	}
	wg.Wait()
	stopFollow()
	stopShow()
}

// sendFrom sends the requests of one client, and more while its checks need more.
func (r *run) sendFrom(ctx context.Context, c *client) {
	cfg := r.cfg.Send
	cfg.Target = r.service.url
	r.setGoal(c, cfg.Count)
	for look := 1; ; look++ {
		res, err := sender.Run(ctx, c.exec(), cfg, func(one reply.Reply) {
			from := r.senders.identify(&one)
			r.mu.Lock()
			defer r.mu.Unlock()
			c.tally.Add(one, from)
		})
		if err != nil {
			err = c.explain(err)
			if look == 1 {
				c.err = err
				return
			}
			res = sender.Result{Tool: c.result.Tool, Start: c.result.Start, End: c.result.End, Reason: err.Error()}
		}
		c.result = join(c.result, res)
		if !c.result.Complete || cfg.Duration > 0 || ctx.Err() != nil {
			return
		}
		goal := r.extend(c, look)
		if goal == 0 {
			return
		}
		cfg.Count = goal - c.tally.Requests
		r.setGoal(c, goal)
	}
}

// extend judges the tally and returns how many requests there should be in total, or 0 if no more are needed.
func (r *run) extend(c *client, look int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.tally.Reattribute(r.senders.identifier())
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
	p := Progress{URL: r.service.url.String()}
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
	return p
}

// followEvery is how often the state is read during a run. What happens between two readings shows in the resourceVersion of the Service.
const followEvery = 2 * time.Second

// follow reads the state repeatedly during the run. It learns the names of new pods, and notices a prediction that changes, even if it
// changes back. A member that does not answer here is read again at the end.
func (r *run) follow(ctx context.Context) (stop func()) {
	if !r.service.found {
		return func() {}
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-over:
				return
			case <-tick.C:
			}
			snap := r.mesh.look(ctx)
			if ctx.Err() != nil {
				return
			}
			r.compare(snap)
			r.senders.learn(snap, r.service.key)
		}
	})
	return func() {
		close(over) // finish a reading that has begun: client-go logs one that is cancelled
		wg.Wait()
	}
}
