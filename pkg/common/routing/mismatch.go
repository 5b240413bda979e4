package routing

import "github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"

// Matcher finds the clusters whose endpoints of one Service match no port that a client asks for. It says what the Reasons of
// Decide say, for the first set of rules, at a fraction of the cost: a mesh of hundreds of clusters has as many
// clients for each of them, who all ask for the same few ports.
type Matcher struct {
	snap      *Snapshot
	key       Key
	strangers map[wanted][]*Cluster
}

// wanted is what of a frontend and the client's rules decides whether an endpoint matches.
type wanted struct {
	name, protocol string
	ipv6, strict   bool
	headless       bool
}

// NewMatcher returns a Matcher for one Service. The snapshot must not change.
func NewMatcher(snap *Snapshot, key Key) *Matcher {
	return &Matcher{snap: snap, key: key, strangers: map[wanted][]*Cluster{}}
}

// Mismatches returns the reasons of the remote clusters that the clients of c do not use because of the name or protocol of
// the port or the IP family, in the order of the snapshot.
func (m *Matcher) Mismatches(c *Cluster, fe Frontend) []Reason {
	svc := c.Services[m.key]
	if c.Gap != "" || svc == nil || svc.Type == "ExternalName" || ignored(c, svc) || svc.Proxied() {
		return nil
	}
	rules := cilium.RulesFor(c.Version)[0].Rules
	var out []Reason
	for _, there := range m.without(wanted{fe.Name, fe.Protocol, fe.IPv6, rules.StrictPortNames, svc.Headless}, fe, rules) {
		if there.Name == c.Name {
			continue
		}
		switch r := remoteOffer(c, svc, there, fe, rules, false).reason; r.Code {
		case ReasonPort, ReasonProtocol, ReasonFamily:
			r.Cluster = there.Name
			out = append(out, r)
		}
	}
	return out
}

// without lists the clusters that have the Service and no endpoint that matches.
func (m *Matcher) without(w wanted, fe Frontend, rules cilium.Rules) []*Cluster {
	if list, ok := m.strangers[w]; ok {
		return list
	}
	var list []*Cluster
	for i := range m.snap.Clusters {
		c := &m.snap.Clusters[i]
		if svc := c.Services[m.key]; svc != nil && !svc.answers(w, fe, rules, c.exporter()) {
			list = append(list, c)
		}
	}
	m.strangers[w] = list
	return list
}

// answers reports whether any endpoint that is exported matches.
func (s *Service) answers(w wanted, fe Frontend, rules, exporter cilium.Rules) bool {
	for _, e := range s.Endpoints {
		if !e.exported(exporter) || e.Addr.Is6() != w.ipv6 {
			continue
		}
		if w.headless {
			return true
		}
		for _, p := range e.Ports {
			if p.Protocol == fe.Protocol && portMatches(fe.Name, p, e, rules) {
				return true
			}
		}
	}
	return false
}
