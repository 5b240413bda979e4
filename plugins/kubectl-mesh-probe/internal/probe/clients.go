package probe

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// manyClients is from how many client pods on the command reports what they send in total.
const manyClients = 20

// where names the client pod in messages: "cluster us", or "client us/web-1" if several pods of the cluster send requests.
func (s *source) where() string {
	if s.name == s.member.Name {
		return "cluster " + s.name
	}
	return "client " + s.name
}

// where also names the URL if there are several.
func (c *client) where() string {
	if c.url == "" {
		return c.source.where()
	}
	return c.source.where() + ", " + c.url
}

// isFirst reports whether the client pod is the first one of its cluster.
func (r *run) isFirst(s *source) bool {
	return r.sources[slices.IndexFunc(r.sources, func(o *source) bool { return o.member.Name == s.member.Name })] == s
}

// findClients finds the client pods in each cluster. Each of them calls every target.
func (r *run) findClients(ctx context.Context) error {
	members, err := r.clientMembers()
	if err != nil {
		return err
	}
	results := fanout.Each(ctx, members, r.mesh.timeout, func(ctx context.Context, m *clusters.Member) (podexec.Found, error) {
		return podexec.FindAll(ctx, m.Client, r.mesh.namespace, r.cfg.Clients.From, r.cfg.Clients.Container, r.cfg.Clients.Which)
	})
	for _, found := range results {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if found.Err != nil {
			err := fmt.Errorf("cluster %s: %w", found.Member.Label(), found.Err.WithClass())
			if len(results) == 1 {
				return err
			}
			r.addSource(found.Member, found.Member.Name, podexec.Pod{}).err = err
			continue
		}
		r.addSources(found.Member, found.Value)
	}
	if !slices.ContainsFunc(r.sources, func(s *source) bool { return s.err == nil }) {
		return r.sources[0].err
	}
	if n := len(r.clients); n > manyClients && r.cfg.Send.Rate > 0 {
		each := "each of them"
		if len(r.services) > 1 {
			each += ", for each URL"
		}
		r.ui.Note("Note: %d client pods send up to %.0f requests per second in total; --rate and --max-rate limit %s.", len(r.sources), float64(n)*r.cfg.Send.Rate, each)
	}
	return nil
}

// clientMembers returns the clusters in which requests are sent.
func (r *run) clientMembers() ([]*clusters.Member, error) {
	names := r.cfg.Clients.Clusters
	switch {
	case len(names) == 1 && names[0] == "all":
		return r.mesh.selection.Members, nil
	case len(names) > 0:
		return r.mesh.selection.Resolve("--from-clusters", names)
	}
	return []*clusters.Member{r.mesh.selection.Home()}, nil
}

// addSources adds the client pods of a cluster.
func (r *run) addSources(m *clusters.Member, found podexec.Found) {
	if found.NotReady > 0 {
		r.ui.Note("Note: cluster %s: pods of %s that are not ready, and so send no requests: %d.", m.Name, r.cfg.Clients.From, found.NotReady)
	}
	for _, pod := range found.Pods {
		name := m.Name
		if len(found.Pods) > 1 {
			name += "/" + pod.Name
		}
		r.addSource(m, name, pod)
	}
}

func (r *run) addSource(m *clusters.Member, name string, pod podexec.Pod) *source {
	s := &source{member: m, name: name, pod: pod}
	s.pod.Namespace = r.mesh.namespace
	r.sources = append(r.sources, s)
	for _, to := range r.services {
		r.clients = append(r.clients, &client{source: s, to: to, tally: tally.New(r.mesh.members), abort: r.abort.New()})
	}
	if pod.Name != "" && r.cfg.Clients.describesClientPod() {
		r.describePod(s)
	}
	return s
}

// clientsOf returns the clients that call a target.
func (r *run) clientsOf(to *service) []*client {
	return slices.DeleteFunc(slices.Clone(r.clients), func(c *client) bool { return c.to != to })
}

// clientClusters returns the cluster of each client that calls a target and can send requests.
func (r *run) clientClusters(to *service) []string {
	var out []string
	for _, c := range r.clientsOf(to) {
		if c.err == nil {
			out = append(out, c.member.Name)
		}
	}
	return out
}
