// Package chooser answers the lab: which backends Cilium's own code would choose for the clients of a
// cluster. It knows how the lab asks (package wire) and how Cilium is asked (package judge), and
// decides nothing itself. In particular it must not use the rules that the plugins predict with, as these are
// what the lab is to judge.
package chooser

import (
	"fmt"
	"net/netip"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/wire"
)

// Selector is the part of a judge that is asked here.
type Selector interface {
	Version() string
	Select(client body.Cluster, remotes []body.Cluster) ([]body.Choice, error)
}

// answer asks for every Service of the client's cluster. What its peers have under the same name is put beside it; whether
// any of that counts is for Cilium to say.
func answer(s Selector, r wire.Request) (wire.Reply, error) {
	reply := wire.Reply{Cilium: s.Version()}
	if r.Client == "" {
		return reply, nil
	}
	members := make([]member, len(r.Clusters))
	for i, c := range r.Clusters {
		members[i] = index(c, uint32(i+1))
	}
	at := slices.IndexFunc(members, func(m member) bool { return m.Name == r.Client })
	if at < 0 {
		return reply, fmt.Errorf("client cluster %q is not among the clusters of the request", r.Client)
	}
	client := members[at]
	for _, svc := range client.Services {
		key := name{svc.Namespace, svc.Name}
		var remotes []body.Cluster
		for i, m := range members {
			if i != at && slices.Contains(client.Peers, m.Name) {
				remotes = append(remotes, m.question(key))
			}
		}
		choices, err := s.Select(client.question(key), remotes)
		if err != nil {
			return reply, fmt.Errorf("service %s/%s: %w", key.namespace, key.name, err)
		}
		for _, c := range choices {
			reply.Choices = append(reply.Choices, choice(key, c))
		}
	}
	return reply, nil
}

type name struct{ namespace, name string }

// member is a cluster of a request whose objects can be found by name.
type member struct {
	wire.Cluster
	id       uint32
	services map[name]int
	slices   map[name][]*discoveryv1.EndpointSlice
}

func index(c wire.Cluster, id uint32) member {
	m := member{Cluster: c, id: id, services: map[name]int{}, slices: map[name][]*discoveryv1.EndpointSlice{}}
	for i, s := range c.Services {
		m.services[name{s.Namespace, s.Name}] = i
	}
	for _, s := range c.EndpointSlices {
		key := name{s.Namespace, s.Labels[discoveryv1.LabelServiceName]}
		m.slices[key] = append(m.slices[key], s)
	}
	return m
}

// question is what the cluster holds of one Service.
func (m member) question(key name) body.Cluster {
	c := body.Cluster{
		Name: m.Name, ID: m.id, Namespace: m.Namespaces[key.namespace], GlobalByDefault: m.DefaultGlobalNamespace, Slices: m.slices[key],
	}
	if i, ok := m.services[key]; ok {
		c.Service = m.Services[i]
	}
	return c
}

func choice(key name, c body.Choice) wire.Choice {
	out := wire.Choice{
		Namespace: key.namespace, Name: key.name,
		Address: c.Frontend.Addr.Addr(), Protocol: c.Protocol, Port: c.Frontend.Addr.Port(), PortName: c.Frontend.Name,
		Backends: []netip.AddrPort{},
	}
	for _, b := range c.Backends {
		out.Backends = append(out.Backends, b.Addr)
	}
	return out
}
