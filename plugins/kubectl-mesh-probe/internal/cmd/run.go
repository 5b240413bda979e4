package cmd

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// run probes from all client pods at once.
func (s *session) run(ctx context.Context) {
	p := newProgress(s)
	stop := s.follow(ctx)
	var wg sync.WaitGroup
	for _, c := range s.clients {
		if c.err == nil {
			wg.Go(func() { s.runClient(ctx, c, p) })
		}
	}
	wg.Wait()
	stop()
	p.stop()
}

// runClient sends the requests of one client, and more of them as long as its checks need them.
func (s *session) runClient(ctx context.Context, c *client, p *progress) {
	cfg := s.o.config
	cfg.Target = s.url
	tr := podexec.New(c.member.REST, c.member.Client, c.pod)
	p.aim(c, cfg.Count)
	for look := 1; ; look++ {
		res, err := sender.Run(ctx, tr, cfg, func(r reply.Reply) {
			who := s.who.Load().Identify(&r)
			p.mu.Lock()
			defer p.mu.Unlock()
			c.Tally.Add(r, who)
		})
		if err != nil {
			err = fmt.Errorf("cluster %s: pod %s: %w", c.member.Label(), c.pod, hint(err, c.debug()))
			if look == 1 {
				c.err = err
				return
			}
			res = sender.Result{Tool: c.Result.Tool, Start: c.Result.Start, End: c.Result.End, Reason: err.Error()}
		}
		c.Result = joined(c.Result, res)
		if !c.Result.Complete || cfg.Duration > 0 || ctx.Err() != nil {
			return
		}
		target := s.extend(c, p, look)
		if target == 0 {
			return
		}
		cfg.Count = target - c.Tally.Requests
		p.aim(c, target)
	}
}

// extend judges what there is and returns how many requests there should be in all; 0 if no more are needed.
func (s *session) extend(c *client, p *progress, look int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Tally.Reattribute(s.who.Load())
	return judge.Extend(s.checks(c), c.Tally.Requests, s.o.most, look)
}

// joined is the result of a run and its extension.
func joined(first, second sender.Result) sender.Result {
	if first.Start.IsZero() {
		return second
	}
	second.Start = first.Start
	second.Requests += first.Requests
	second.Warnings = slices.Compact(slices.Sorted(slices.Values(slices.Concat(first.Warnings, second.Warnings))))
	return second
}

// followEvery is how often the state is read again during a run.
const followEvery = 5 * time.Second

// follow reads the state again and again during the run: the names of pods that start are learnt, and a prediction that changes is noticed even
// if it changes back. What cannot be read here is read once more at the end.
func (s *session) follow(ctx context.Context) (stop func()) {
	if !s.service {
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
			snap := s.look(ctx)
			if ctx.Err() != nil {
				return
			}
			s.compare(snap)
			s.learn(snap)
		}
	})
	return func() {
		close(over) // a reading under way is finished: client-go logs one that is cancelled
		wg.Wait()
	}
}

// look reads the state without marking a member as unread that answers late once.
func (s *session) look(ctx context.Context) *routing.Snapshot {
	members := make([]*clusters.Member, len(s.sel.Members))
	for i, m := range s.sel.Members {
		copied := *m
		members[i] = &copied
	}
	return &meshstate.Read(ctx, members, s.clusters.Timeout, s.query).Snapshot
}

// compare notices a prediction that is not the one with which the run started.
func (s *session) compare(snap *routing.Snapshot) {
	if slices.ContainsFunc(snap.Clusters, func(c routing.Cluster) bool {
		return c.Gap != "" && !slices.Contains(s.gaps, c.Name)
	}) {
		return // nothing can be said; a member that stays unread is an error by itself
	}
	for i, p := range s.predictions(snap) {
		if c := s.clients[i]; c.changed == "" && !p.Equal(c.Prediction) {
			c.changed = p.String()
		}
	}
}
