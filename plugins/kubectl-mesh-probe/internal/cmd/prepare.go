package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// prepare finds the pods and the target, and reads the state from which the shares are predicted. It sends nothing.
func (s *session) prepare(ctx context.Context) error {
	for _, m := range s.sel.Members {
		s.known = append(s.known, origin.Member{Name: m.Name, Context: m.Context})
	}
	var err error
	if s.id, err = origin.Parse(s.o.identify, s.o.as, s.known); err != nil {
		return err
	}
	s.who.Store(s.id)
	if s.expect, err = judge.ParseExpectations(s.o.expect, s.known, !s.id.Auto()); err != nil {
		return err
	}
	if err := s.findClients(ctx); err != nil {
		return err
	}
	snap, err := s.findTarget(ctx)
	if err != nil {
		return err
	}
	if s.o.expectPrediction && !s.service {
		return fmt.Errorf("--expect-prediction: there is no prediction for %s: %s", s.url, s.clients[0].unnamed)
	}
	s.announce()
	if s.o.settle > 0 {
		if snap, err = s.wait(ctx, snap); err != nil {
			return err
		}
	}
	s.learn(snap)
	s.predict(snap)
	return nil
}

// learn makes the names and addresses of a state known, beside those of earlier states.
func (s *session) learn(snap *routing.Snapshot) {
	if !s.id.Auto() {
		return
	}
	t := origin.NewTokens(snap, s.key)
	if s.tokens != nil {
		t = s.tokens.Merge(t)
	}
	s.tokens = t
	s.who.Store(s.id.WithTokens(t))
}

// announce says how many requests the expectations need, before any is sent.
func (s *session) announce() {
	if s.o.duration > 0 {
		return
	}
	looks := judge.Looks(s.o.count, s.o.most)
	for _, e := range s.expect {
		switch needs := e.Needs(looks); {
		case needs > s.o.most:
			s.warn("--expect %s needs about %d requests to pass reliably, and at most %d are sent: it may stay inconclusive; raise --max-count", e.Expr(), needs, s.o.most)
		case needs > s.o.count:
			s.note("--expect %s needs about %d requests to pass reliably: the run is extended beyond %d while a check needs more, up to %d (--max-count).", e.Expr(), needs, s.o.count, s.o.most)
		}
	}
}

// findClients finds the client pod in each of --from-clusters.
func (s *session) findClients(ctx context.Context) error {
	members := []*clusters.Member{s.sel.Home()}
	switch {
	case len(s.o.fromClusters) == 1 && s.o.fromClusters[0] == "all":
		members = s.sel.Members
	case len(s.o.fromClusters) > 0:
		var err error
		if members, err = s.sel.Resolve("--from-clusters", s.o.fromClusters); err != nil {
			return err
		}
	}
	results := clusters.Each(ctx, members, s.clusters.Timeout, func(ctx context.Context, m *clusters.Member) (podexec.Pod, error) {
		return podexec.Find(ctx, m.Client, s.namespace, s.o.ref, s.o.container)
	})
	for _, r := range results {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c := &client{member: r.Member, pod: r.Value}
		if r.Err != nil {
			c.err = fmt.Errorf("cluster %s: %w", r.Member.Label(), r.Err)
			if len(results) == 1 {
				return c.err
			}
		}
		c.Client = probe.Client{
			Cluster: r.Member.Name, Context: r.Member.Context, Namespace: s.namespace,
			Pod: c.pod.Name, Container: c.pod.Container, Node: c.pod.Node,
		}
		c.Tally = tally.New(s.known)
		s.clients = append(s.clients, c)
		s.describePod(c)
	}
	if !slices.ContainsFunc(s.clients, func(c *client) bool { return c.err == nil }) {
		return s.clients[0].err
	}
	return nil
}

// describePod says on stderr what was chosen for the user and what may surprise.
func (s *session) describePod(c *client) {
	if c.err != nil {
		return
	}
	if len(c.pod.Defaulted) > 0 {
		s.note("Defaulted container %q of pod %s in %s out of: %v", c.pod.Container, c.pod.Name, c.member.Name, c.pod.Defaulted)
	}
	if c.pod.HostNetwork {
		c.caveats = append(c.caveats, fmt.Sprintf("pod %s is on its node's network: without kube-proxy replacement such clients do not reach remote backends", c.pod.Name))
	}
	if c.pod.Proxy != "" {
		c.caveats = append(c.caveats, fmt.Sprintf("the connections of pod %s go through a proxy, which may pick the backend in place of Cilium: %s", c.pod.Name, c.pod.Proxy))
	}
	for _, caveat := range c.caveats {
		s.warn("cluster %s: %s", c.member.Name, caveat)
	}
}

func (s *session) read(ctx context.Context) *routing.Snapshot {
	return &meshstate.Read(ctx, s.sel.Members, s.clusters.Timeout, s.query).Snapshot
}

// predictions are what routing says for each client, in their order.
func (s *session) predictions(snap *routing.Snapshot) []judge.Prediction {
	out := make([]judge.Prediction, len(s.clients))
	for i, c := range s.clients {
		if c.unnamed != "" {
			out[i] = judge.Prediction{Why: c.unnamed}
			continue
		}
		out[i] = judge.Predict(snap, c.member.Name, s.key, s.url.Port())
		out[i].Caveats = slices.Concat(out[i].Caveats, c.caveats)
	}
	return out
}

// predict keeps what routing says before the first request is sent.
func (s *session) predict(snap *routing.Snapshot) {
	for _, c := range snap.Clusters {
		if c.Gap != "" {
			s.gaps = append(s.gaps, c.Name)
		}
	}
	for i, p := range s.predictions(snap) {
		c := s.clients[i]
		c.Prediction = p
		for _, w := range p.Caveats {
			if !slices.Contains(c.caveats, w) { // those of the pod were printed with it
				s.warn("cluster %s: %s", c.member.Name, w)
			}
		}
	}
}

// settleRounds is how often --settle waits again because the prediction has changed.
const settleRounds = 20

// wait returns when the prediction has stayed the same for --settle, which is the time
// that Cilium may take to carry a change to all clusters.
func (s *session) wait(ctx context.Context, snap *routing.Snapshot) (*routing.Snapshot, error) {
	before := s.predictions(snap)
	s.note("Waiting until the prediction has been stable for %s (--settle): %s.", s.o.settle, s.describe(before))
	for range settleRounds {
		timer := time.NewTimer(s.o.settle)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		now := s.read(ctx)
		after := s.predictions(now)
		if slices.EqualFunc(before, after, judge.Prediction.Equal) {
			return now, nil
		}
		s.note("The prediction changed; waiting for another %s: %s.", s.o.settle, s.describe(after))
		before = after
	}
	return nil, fmt.Errorf("--settle %s: the prediction was not stable for this long in %d attempts", s.o.settle, settleRounds)
}

// describe shows the predictions of all clients.
func (s *session) describe(ps []judge.Prediction) string {
	parts := make([]string, len(ps))
	for i, p := range ps {
		parts[i] = "clients in " + s.clients[i].member.Name + ": " + p.String()
	}
	return strings.Join(parts, "; ")
}
