package cmd

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// findTarget works out which Service is called and reads it in all members.
func (s *session) findTarget(ctx context.Context) (*routing.Snapshot, error) {
	host, err := s.host()
	if err != nil {
		return nil, err
	}
	s.meanings(ctx, host)
	snap := s.read(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.resolve(ctx, snap, host)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if s.o.url == nil {
		if s.clients[0].meaning.Why != "" && !s.service {
			return nil, fmt.Errorf("%q: %s; a URL begins with http://", s.o.target, s.clients[0].unnamed)
		}
		var names []string
		for _, c := range s.clients {
			names = append(names, c.member.Name)
		}
		if s.url, err = serviceURL(snap, names, s.key, s.o.target); err != nil {
			return nil, err
		}
	}
	return snap, nil
}

// host is the name or address that is called.
func (s *session) host() (string, error) {
	if s.o.url != nil {
		s.url = *s.o.url
		return s.url.Host(), nil
	}
	host, _, err := splitService(s.o.target)
	return host, err
}

// meanings finds out what the host name stands for in each client pod, and which Services have to be read for that.
func (s *session) meanings(ctx context.Context, host string) {
	for _, c := range s.clients {
		c.meaning = s.resolver(ctx, c, host).Meaning(host)
	}
	m := s.clients[0].meaning
	for _, c := range s.clients {
		if c.meaning.Why == "" {
			m = c.meaning
			break
		}
	}
	switch {
	case m.Why != "": // an address, maybe: look for it among the namespace's Services
		s.query = meshstate.Query{Namespace: s.namespace}
	case m.Import:
		s.query = meshstate.Query{Namespace: m.Service.Namespace}
	default:
		s.query = meshstate.Query{Namespace: m.Service.Namespace, Name: m.Service.Name}
	}
}

// resolver is how the client pod looks up names. Its resolv.conf is only read where something depends on it.
func (s *session) resolver(ctx context.Context, c *client, host string) target.Resolver {
	usual := target.ClusterFirst(s.namespace)
	if c.err != nil || !c.pod.OtherDNS && !target.SpellsZone(host) {
		return usual
	}
	text, err := clusters.Within(ctx, s.clusters.Timeout, podexec.New(c.member.REST, c.member.Client, c.pod).ResolvConf)
	if err != nil {
		if ctx.Err() == nil {
			c.caveats = append(c.caveats, fmt.Sprintf("/etc/resolv.conf of pod %s could not be read, so that the DNS zone of its cluster is taken as %s", c.pod.Name, usual.Zone()))
			s.warn("cluster %s: %s", c.member.Name, c.caveats[len(c.caveats)-1])
		}
		return usual
	}
	return target.ParseResolvConf(text)
}

// resolve finds the Service that Cilium balances for each client: the one that is named, that a ServiceImport stands for, or that has the address.
func (s *session) resolve(ctx context.Context, snap *routing.Snapshot, host string) {
	for _, c := range s.clients {
		key, why := s.serviceOf(ctx, c, snap, host)
		switch {
		case why != "":
			c.unnamed = why
		case !s.service:
			s.key, s.service = key, true
		case s.key != key:
			c.unnamed = fmt.Sprintf("in cluster %s, %s means Service %s", c.member.Name, host, key)
		}
	}
	if s.service {
		s.query = meshstate.Query{Namespace: s.key.Namespace, Name: s.key.Name}
	}
}

func (s *session) serviceOf(ctx context.Context, c *client, snap *routing.Snapshot, host string) (key routing.Key, why string) {
	m := c.meaning
	if m.Why != "" {
		if key, ok := byAddress(snap, c.member.Name, host); ok {
			return key, ""
		}
		return routing.Key{}, m.Why
	}
	if !m.Import {
		return m.Service, ""
	}
	if c.err != nil {
		return routing.Key{}, fmt.Sprintf("cluster %s could not be read", c.member.Name)
	}
	name, err := clusters.Within(ctx, s.clusters.Timeout, func(ctx context.Context) (string, error) {
		return meshstate.DerivedService(ctx, c.member, s.clusters.Timeout, m.Service)
	})
	key = routing.Key{Namespace: m.Service.Namespace, Name: name}
	if name == "" {
		var ok bool
		if cluster := snap.Find(c.member.Name); cluster != nil {
			key, ok = meshstate.DerivedByLabel(cluster, m.Service)
		}
		switch {
		case ok:
		case apierrors.IsNotFound(err):
			return routing.Key{}, fmt.Sprintf("%s is a ServiceImport, and cluster %s has no ServiceImport %s", host, c.member.Name, m.Service)
		case err != nil:
			return routing.Key{}, fmt.Sprintf("%s is the ServiceImport %s, and its derived Service is not known: %v", host, m.Service, err)
		default:
			return routing.Key{}, fmt.Sprintf("%s is the ServiceImport %s, which has no derived Service", host, m.Service)
		}
	}
	if !s.service {
		s.note("%s is the ServiceImport %s; Cilium balances its derived Service %s.", host, m.Service, key.Name)
	}
	return key, ""
}
