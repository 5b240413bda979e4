package body

import (
	"fmt"
	"net/netip"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// snapshot is what our commands would have read of the clusters, all of one Cilium version.
func snapshot(version string, clusters []Cluster) *routing.Snapshot {
	snap := &routing.Snapshot{}
	for _, c := range clusters {
		r := routing.Cluster{
			Name: c.Name, Version: cilium.ParseVersion(version), DefaultGlobalNamespace: c.GlobalByDefault,
			Namespaces: map[string]map[string]string{},
			Services:   map[routing.Key]*routing.Service{},
			PeersKnown: true,
		}
		for _, peer := range clusters {
			if peer.Name != c.Name {
				r.Peers = append(r.Peers, peer.Name)
			}
		}
		if c.Service != nil {
			svc := routing.FromService(c.Service, c.Slices)
			r.Services[svc.Key] = svc
			r.Namespaces[svc.Key.Namespace] = c.Namespace
		}
		snap.Clusters = append(snap.Clusters, r)
	}
	return snap
}

// predict answers a question with our own rules, in the judge's terms.
func predict(version string, clusters []Cluster) ([]Choice, error) {
	snap := snapshot(version, clusters)
	client := &snap.Clusters[0]
	svc := client.Services[key]
	if svc == nil {
		return nil, nil
	}
	var out []Choice
	for _, ip := range svc.ClusterIPs {
		for _, p := range svc.Ports {
			d := routing.Decide(snap, client.Name, key, routing.Frontend{Port: p, IPv6: ip.Is6()})
			if d.Kind != routing.KindBalanced {
				return nil, nil
			}
			if len(d.Outcomes) != 1 || d.Incomplete {
				return nil, fmt.Errorf("port %s: %d outcomes, incomplete %v, although everything is known", p.Name, len(d.Outcomes), d.Incomplete)
			}
			c := Choice{Frontend: Frontend{Addr: netip.AddrPortFrom(ip, uint16(p.Port)), Protocol: p.Protocol, Name: p.Name}}
			for _, b := range d.Outcomes[0].Backends {
				c.Backends = append(c.Backends, Backend{Cluster: b.Cluster, Addr: b.Addr})
			}
			out = append(out, c)
		}
	}
	SortChoices(out)
	return out, nil
}

// offer is what we call exported.
func offer(version string, c Cluster) (Exported, bool) {
	if c.Service == nil {
		return nil, false
	}
	snap := snapshot(version, []Cluster{c})
	endpoints, reason := snap.Clusters[0].Offers(routing.Key{Namespace: c.Service.Namespace, Name: c.Service.Name})
	if reason.Code != routing.ReasonUsed {
		return nil, false
	}
	out := Exported{}
	for _, e := range endpoints {
		ports := map[string]Port{}
		for _, p := range e.Ports {
			ports[p.Name] = Port{Protocol: p.Protocol, Port: uint16(p.Port)}
		}
		out[e.Addr] = ports
	}
	return out, true
}

// parse is what we make of annotations.
func parse(version string, ann map[string]string) (Parsed, error) {
	rules := cilium.RulesFor(cilium.ParseVersion(version))
	if len(rules) != 1 {
		return Parsed{}, fmt.Errorf("%d sets of rules for Cilium %s", len(rules), version)
	}
	p := Parsed{Global: cilium.Global(ann).Value, Shared: cilium.Shared(ann).Value}
	switch a := cilium.AffinityOf(ann, rules[0].Rules).Value; a {
	case cilium.AffinityNone:
	case cilium.AffinityDropRemote:
		p.Affinity = dropsRemote
	default:
		p.Affinity = string(a)
	}
	return p, nil
}
