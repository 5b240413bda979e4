package cmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// prepare finds the pods and the target, and reads the state from which the shares are predicted. It sends nothing.
func (s *session) prepare(ctx context.Context) error {
	for _, m := range s.sel.Members {
		s.known = append(s.known, probe.Known{Name: m.Name, Context: m.Context})
	}
	var err error
	if s.id, err = probe.ParseIdentify(s.o.identify, s.o.as, s.known); err != nil {
		return err
	}
	if s.expect, err = probe.ParseExpect(s.o.expect, s.known, !s.id.Auto()); err != nil {
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
		return fmt.Errorf("--expect-prediction: %s names no Service of namespace %q", s.url, s.namespace)
	}
	if s.o.settle > 0 {
		if snap, err = s.wait(ctx, snap); err != nil {
			return err
		}
	}
	if s.id.Auto() {
		s.id = s.id.WithTokens(probe.NewTokens(snap, s.key))
	}
	s.predict(snap)
	return nil
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
		c.Tally = probe.NewTally(s.known)
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
		s.warn("pod %s in %s is on its node's network: without kube-proxy replacement such clients do not reach remote backends", c.pod.Name, c.member.Name)
	}
	if c.pod.Sidecar != "" {
		s.warn("pod %s in %s has a sidecar (%s), which may pick the backend in place of Cilium", c.pod.Name, c.member.Name, c.pod.Sidecar)
	}
}

// findTarget works out which Service is called and reads it in all members.
func (s *session) findTarget(ctx context.Context) (*routing.Snapshot, error) {
	var host string
	if s.o.url != nil {
		s.url = *s.o.url
		host = s.url.Host()
	} else {
		var err error
		if host, _, err = splitService(s.o.target); err != nil {
			return nil, err
		}
	}
	s.key, s.service = serviceKey(host, s.namespace)
	s.query = meshstate.Query{Namespace: s.key.Namespace, Name: s.key.Name}
	if !s.service {
		s.query = meshstate.Query{Namespace: s.namespace} // an address: look for it among the namespace's Services
	}
	snap := s.read(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if s.o.url == nil {
		var names []string
		for _, c := range s.clients {
			names = append(names, c.member.Name)
		}
		var err error
		if s.url, err = serviceURL(snap, names, s.key, s.o.target); err != nil {
			return nil, err
		}
	}
	if !s.service {
		if key, ok := byAddress(snap, s.clients[0].member.Name, host); ok {
			s.key, s.service = key, true
			s.query.Name = key.Name
		}
	}
	return snap, nil
}

func (s *session) read(ctx context.Context) *routing.Snapshot {
	return &meshstate.Read(ctx, s.sel.Members, s.clusters.Timeout, s.query).Snapshot
}

// predictions are what routing says for each client, in their order.
func (s *session) predictions(snap *routing.Snapshot) []probe.Prediction {
	out := make([]probe.Prediction, len(s.clients))
	for i, c := range s.clients {
		out[i] = probe.Prediction{Why: "the URL names no Service of the mesh"}
		if s.service {
			out[i] = probe.Predict(snap, c.member.Name, s.key, s.url.Port())
		}
	}
	return out
}

func (s *session) predict(snap *routing.Snapshot) {
	for i, p := range s.predictions(snap) {
		s.clients[i].Prediction = p
		for _, w := range p.Caveats {
			s.warn("cluster %s: %s", s.clients[i].member.Name, w)
		}
	}
}

// settleRounds is how often --settle waits again because the prediction has changed.
const settleRounds = 20

// wait returns when the prediction has stayed the same for --settle, which is the time
// that Cilium may take to carry a change to all clusters.
func (s *session) wait(ctx context.Context, snap *routing.Snapshot) (*routing.Snapshot, error) {
	for range settleRounds {
		timer := time.NewTimer(s.o.settle)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		now := s.read(ctx)
		if slices.EqualFunc(s.predictions(snap), s.predictions(now), probe.Prediction.Equal) {
			return now, nil
		}
		s.note("The prediction has changed; waiting another %s.", s.o.settle)
		snap = now
	}
	return nil, fmt.Errorf("--settle %s: the prediction did not stay the same for so long in %d attempts", s.o.settle, settleRounds)
}
