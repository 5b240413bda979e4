package routing

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// gateCase is one assumption about the exporters whose Cilium version is not known: those in open have no namespace gate.
type gateCase struct {
	open map[string]bool
	when []string
}

// maxGateCases bounds how many exporters of unknown version are told apart: each doubles the outcomes.
const maxGateCases = 3

// gateCases lists the assumptions under which a prediction has to be made: one where the version of every exporter is
// known or does not matter, both for each exporter of unknown version whose namespace would keep its endpoints back.
func gateCases(snap *Snapshot, c *Cluster, svc *Service, d *Decision) []gateCase {
	cases := []gateCase{{}}
	var undecided []string
	for i := range snap.Clusters {
		m := &snap.Clusters[i]
		there := m.Services[svc.Key]
		if m.Name == c.Name || m.Version.Known() || there == nil || !c.usesRemote(svc) || !cilium.Shared(there.Annotations).Value ||
			cilium.NamespaceGlobal(m.Namespaces[svc.Namespace], m.DefaultGlobalNamespace).Value {
			continue
		}
		undecided = append(undecided, m.Name)
	}
	if len(undecided) > maxGateCases {
		d.open("the Cilium versions of " + strings.Join(undecided, ", ") + " are unknown: before 1.20 their namespaces would not prevent the use of their endpoints")
		return cases
	}
	for _, name := range undecided {
		var next []gateCase
		for _, g := range cases {
			open := maps.Clone(g.open)
			if open == nil {
				open = map[string]bool{}
			}
			open[name] = true
			next = append(next, gateCase{g.open, append(slices.Clone(g.when), "1.20 in "+name)},
				gateCase{open, append(slices.Clone(g.when), "before 1.20 in "+name)})
		}
		cases = next
	}
	return cases
}

// unsureExports names the exporters of unknown version that offer endpoints from 1.18 on which before they would not.
func unsureExports(snap *Snapshot, c *Cluster, key Key) []string {
	var out []string
	for i := range snap.Clusters {
		m := &snap.Clusters[i]
		there := m.Services[key]
		if m.Name == c.Name || m.Version.Known() || there == nil || !cilium.Shared(there.Annotations).Value {
			continue
		}
		if slices.ContainsFunc(there.Endpoints, func(e Endpoint) bool { return e.Serving && !e.Ready }) {
			out = append(out, m.Name)
		}
	}
	return out
}

// disputed names the clusters of whose endpoints it is unknown which conditions or ports count: the client's own and, with remote, those of other clusters that
// share the Service.
func disputed(snap *Snapshot, c *Cluster, key Key, remote bool) []string {
	var out []string
	for i := range snap.Clusters {
		m := &snap.Clusters[i]
		there := m.Services[key]
		other := m.Name != c.Name
		if there == nil || other && (!remote || !cilium.Shared(there.Annotations).Value) {
			continue
		}
		if there.disputed(other) {
			out = append(out, m.Name)
		}
	}
	return out
}

// disputed reports whether any of the endpoints is; see Endpoint.disputed. It runs for each cluster in every prediction, so it copies no endpoint.
func (s *Service) disputed(remote bool) bool {
	for i := range s.Endpoints {
		if s.Endpoints[i].disputed(remote) {
			return true
		}
	}
	return false
}

// sharedIDs says which peers have one cluster-id: the agents connect to whichever they meet first and refuse the others
// (pkg/clustermesh/idsmgr.go, 1.16.19 to 1.20.2, read).
func sharedIDs(snap *Snapshot, c *Cluster) []string {
	var out []string
	for _, group := range snap.sameIDs(c) {
		for _, m := range group[1:] {
			out = append(out, fmt.Sprintf("%s and %s have the same cluster-id %d: the cluster connects to only one of them, whichever it finds first", group[0].Name, m.Name, m.ID))
		}
	}
	return out
}

// sameIDs lists the clusters that c may connect to and that share a cluster-id, one group for each.
func (s *Snapshot) sameIDs(c *Cluster) [][]*Cluster {
	if !s.repeatsID() { // nearly always, and every prediction asks
		return nil
	}
	var out [][]*Cluster
	first := make(map[uint32]*Cluster, len(s.Clusters))
	group := map[uint32]int{} // its place in out
	for i := range s.Clusters {
		m := &s.Clusters[i]
		if m.Name == c.Name || !m.IDKnown || m.ID == 0 || c.IDKnown && m.ID == c.ID || !c.peered(m.Name) {
			continue
		}
		other := first[m.ID]
		if other == nil {
			first[m.ID] = m
			continue
		}
		n, found := group[m.ID]
		if !found {
			n = len(out)
			group[m.ID], out = n, append(out, []*Cluster{other})
		}
		out[n] = append(out[n], m)
	}
	return out
}

// repeatsID reports whether any two clusters have the same cluster-id.
func (s *Snapshot) repeatsID() bool {
	seen := make([]bool, 512) // cheaper than a map; ids are at most 511
	for i := range s.Clusters {
		id := s.Clusters[i].ID
		if id == 0 || !s.Clusters[i].IDKnown {
			continue
		}
		if int(id) >= len(seen) || seen[id] { // sameIDs tells about an id that is too large
			return true
		}
		seen[id] = true
	}
	return false
}

// decideUnder adds the outcome, or the two ends of what may happen, under one set of rules and one assumption about the exporters.
// It returns what decide says of the client's affinity.
func (d *Decision) decideUnder(snap *Snapshot, c *Cluster, svc *Service, rs cilium.RuleSet, gates gateCase) (localBackendsOnly bool) {
	versions := rs.Versions
	if c.Version.Known() {
		versions = c.Version.String()
	}
	add := func(o Outcome, client string) {
		var when []string
		if client != "" {
			when = append(when, client)
		}
		if when = append(when, gates.when...); len(when) > 0 {
			o.Versions = []string{strings.Join(when, " and ")}
		}
		d.addOutcome(o)
	}
	rules := rs.Rules
	rules.LosesSharedTargetPorts = false
	kept, localBackendsOnly := decide(snap, c, svc, d.Frontend, rules, gates, d)
	lost := kept
	if rs.LosesSharedTargetPorts {
		lost, _ = decide(snap, c, svc, d.Frontend, rs.Rules, gates, d)
	}
	switch {
	// Which name is kept is random for each endpoint.
	case !slices.Equal(kept.Backends, lost.Backends):
		d.caveat("Cilium " + versions + " may lose remote backends of ports that share a target port; fixed in 1.18.10 and 1.19.4 (cilium issue 45109)")
		add(kept, versions+" (no port lost)")
		add(lost, versions+" (port lost)")
	case c.Version.Known():
		add(kept, "")
	default:
		add(kept, versions)
	}
	return localBackendsOnly
}

// address is what two clusters cannot both have.
func address(b netip.AddrPort, rules cilium.Rules) netip.AddrPort {
	if rules.ServiceCache {
		return netip.AddrPortFrom(b.Addr(), 0)
	}
	return b
}

// settleConflicts leaves an address that several clusters claim, which overlapping PodCIDRs bring about, to one of them. The client's own
// cluster comes first (pkg/source defaultSources: kubernetes before clustermesh; pkg/loadbalancer PreferredBackendsByAddress, 1.18 to 1.20,
// read; up to 1.17 the first one is kept, pkg/k8s/service_cache.go). Between two remote clusters it is a matter of time.
func (d *Decision) settleConflicts(offers []offer, svc *Service, rules cilium.Rules) {
	owner := map[netip.AddrPort]string{}
	if rules.ServiceCache { // an endpoint of the client's own cluster keeps its address whether or not its port serves this frontend
		for _, e := range svc.Endpoints {
			if usable, _ := e.balanced(rules); usable {
				owner[address(netip.AddrPortFrom(e.Addr, 0), rules)] = d.Client
			}
		}
	}
	claim := func(local bool) {
		for i := range offers {
			o := &offers[i]
			if (o.cluster == d.Client) != local || !o.use {
				continue
			}
			other, chance := "", false
			o.backends = slices.DeleteFunc(o.backends, func(b candidate) bool {
				first, taken := owner[address(b.Addr, rules)]
				if !taken || first == o.cluster {
					owner[address(b.Addr, rules)] = o.cluster
					return false
				}
				other, chance = first, chance || first != d.Client
				return true
			})
			if other == "" {
				continue
			}
			line := fmt.Sprintf("endpoints of %s and %s have the same addresses: Cilium uses each address once", other, o.cluster)
			d.caveat(line)
			if chance {
				d.doubt(line)
			}
			if len(o.backends) == 0 {
				o.use, o.reason = false, Reason{Code: ReasonConflict, Value: other}
			}
		}
	}
	claim(true)
	claim(false)
}
