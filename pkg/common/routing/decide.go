package routing

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// Frontend is one address family and port of a client cluster's Service: what
// one connection of a client is balanced over.
type Frontend struct {
	Port
	IPv6 bool
}

// Family returns IPv4 or IPv6, as the Kubernetes API spells them.
func (f Frontend) Family() string {
	if f.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Frontends lists the ports of a Service times its cluster IP families, in the Service's order.
// A headless Service has one for each port and family that DNS answers with for its pods. It may have no ports, and DNS answers anyway:
// it then has one without a port for each family.
func (s *Service) Frontends() []Frontend {
	var out []Frontend
	if s.Headless {
		ports := s.Ports
		if len(ports) == 0 {
			ports = []Port{{}}
		}
		for _, v6 := range s.headlessFamilies() {
			for _, p := range ports {
				out = append(out, Frontend{Port: p, IPv6: v6})
			}
		}
		return out
	}
	for _, ip := range s.ClusterIPs {
		for _, p := range s.Ports {
			out = append(out, Frontend{Port: p, IPv6: ip.Is6()})
		}
	}
	return out
}

// headlessFamilies lists the families that DNS answers with for a headless Service, IPv6 as true. A Service without a selector has
// both by default, even in a cluster of one family (Kubernetes' RequireDualStack): then its endpoints tell.
func (s *Service) headlessFamilies() []bool {
	switch {
	case s.IPv4 && s.IPv6:
		var v4, v6 bool
		for _, e := range s.Endpoints {
			v4, v6 = v4 || e.Addr.Is4(), v6 || e.Addr.Is6()
		}
		if v4 && v6 {
			return []bool{false, true}
		}
		return []bool{v6}
	case s.IPv6:
		return []bool{true}
	}
	return []bool{false}
}

// Kind says how the clients of a cluster reach a Service.
type Kind string

// The kinds of a Decision.
const (
	// KindBalanced: Cilium picks one backend for each new connection.
	KindBalanced Kind = "balanced"
	// KindHeadless: DNS names the pods, Cilium balances nothing.
	KindHeadless Kind = "headless"
	// KindExternalName: DNS gives another name.
	KindExternalName Kind = "external-name"
	// KindIgnored: Cilium does not serve it (label service.kubernetes.io/service-proxy-name, see cilium.Ignored, and, with a
	// cluster IP, label service.kubernetes.io/headless and annotation service.cilium.io/type, see cilium.ClusterIPHidden).
	KindIgnored Kind = "ignored"
	// KindProxied: the L7 proxy on the client's node answers, whatever the other clusters have; see Service.Proxied.
	KindProxied Kind = "proxy"
	// KindMissing: the client's cluster has no such Service; its name does not resolve there.
	KindMissing Kind = "missing"
	// KindUnread: the client's cluster could not be read.
	KindUnread Kind = "unread"
)

// Backend is one address that Cilium would pick from. Each has the same weight
// (loadbalancer.DefaultBackendWeight for remote ones).
type Backend struct {
	Cluster string
	Addr    netip.AddrPort
	Pod     string
}

// Share is the part of a client's new connections that one cluster answers.
type Share struct {
	Cluster  string
	Backends int
	Total    int
}

// Fraction returns the share from 0 to 1.
func (s Share) Fraction() float64 {
	if s.Total == 0 {
		return 0
	}
	return float64(s.Backends) / float64(s.Total)
}

// Outcome is what happens under one set of Cilium's rules.
type Outcome struct {
	// Versions names the Cilium versions this outcome stands for, such as "1.20" or "before 1.20 in eu".
	// Empty when there is only one outcome.
	Versions []string
	Backends []Backend
	// Shares has one entry for each member of the snapshot, in its order, zero shares included.
	Shares []Share
	// Reasons says for each member, in the same order, why it is used or not.
	Reasons []Reason
}

// Decision is the prediction for the clients of one cluster on one frontend.
type Decision struct {
	Client   string
	Service  Key
	Frontend Frontend
	Kind     Kind
	// Outcomes has exactly one entry where the Cilium versions are known or do
	// not differ, several otherwise, and none for kinds without backends.
	Outcomes []Outcome
	// Incomplete: the outcomes are not all that may happen, because something is not known. Doubt says what, the first where there are several.
	Incomplete bool
	Doubt      string
	// UnreadPeers are peers of the client's cluster that are not in the snapshot and may have any part of the shares.
	UnreadPeers []string
	// Caveats are properties of the Service that make single clients differ from the shares.
	Caveats []string
}

// Decide predicts who answers the clients of cluster client on one frontend of a Service.
//
// Rules (cilium/cilium 1.15 to 1.20): a remote cluster's endpoints are used if and only if
// the client's Service is global, the remote Service of the same namespace and name is global and
// shared, the two clusters are peers, and, from 1.20, the remote namespace is global. Then the
// client's affinity selects, and every backend left has the same weight.
func Decide(snap *Snapshot, client string, key Key, fe Frontend) Decision {
	d := Decision{Client: client, Service: key, Frontend: fe, Kind: KindUnread}
	c := snap.Find(client)
	if c == nil || c.Gap != "" {
		d.doubt(unreadMember)
		return d
	}
	svc := c.Services[key]
	switch {
	case svc == nil:
		d.Kind = KindMissing
		return d
	case svc.Type == "ExternalName":
		d.Kind = KindExternalName
		return d
	case ignored(c, svc):
		d.Kind = KindIgnored
		return d
	case svc.Proxied():
		d.Kind = KindProxied
		return d
	case svc.Headless:
		d.Kind = KindHeadless
	default:
		d.Kind = KindBalanced
	}
	d.noteCaveats(c, svc)
	gates := gateCases(snap, c, svc, &d)
	localBackendsOnly := true // under all rules
	for _, rs := range cilium.RulesFor(c.Version) {
		for _, g := range gates {
			localBackendsOnly = d.decideUnder(snap, c, svc, rs, g) && localBackendsOnly
		}
	}
	d.noteUnknown(snap, c, svc, localBackendsOnly)
	if len(d.Outcomes) == 1 {
		d.Outcomes[0].Versions = nil
	}
	return d
}

// ignored reports whether Cilium leaves a Service to another proxy, or its cluster IP to nobody.
func ignored(c *Cluster, svc *Service) bool {
	return cilium.Ignored(svc.Labels, c.ServiceProxyName) || cilium.LabelledHeadless(svc.Labels, svc.Headless) || cilium.ClusterIPHidden(svc.Annotations, svc.Headless, c.Version)
}

// ownProxies names the other clusters with an option k8s-service-proxy-name whose exporter may have it too, which is not read.
func ownProxies(snap *Snapshot, c *Cluster, key Key) []string {
	var out []string
	for i := range snap.Clusters {
		m := &snap.Clusters[i]
		there := m.Services[key]
		if m.Name != c.Name && m.ServiceProxyName != "" && there != nil && cilium.Shared(there.Annotations).Value {
			out = append(out, m.Name)
		}
	}
	return out
}

// caveat adds a line once.
func (d *Decision) caveat(line string) {
	if !slices.Contains(d.Caveats, line) {
		d.Caveats = append(d.Caveats, line)
	}
}

const unreadMember = "a cluster that may also answer could not be read"

// doubt notes that the outcomes are not all that may happen.
func (d *Decision) doubt(why string) {
	d.Incomplete = true
	d.Doubt = cmp.Or(d.Doubt, why)
}

// open adds a caveat that leaves open who answers.
func (d *Decision) open(line string) {
	d.caveat(line)
	d.doubt(line)
}

// unread names the peers of the client's cluster that are not in the snapshot: for a global Service they may answer too.
func unread(snap *Snapshot, c *Cluster) []string {
	if !c.PeersKnown {
		return nil
	}
	var out []string
	for _, p := range c.Peers {
		if snap.Find(p) == nil {
			out = append(out, p)
		}
	}
	return out
}

// addOutcome merges an outcome into an equal one.
func (d *Decision) addOutcome(o Outcome) {
	for i := range d.Outcomes {
		if slices.Equal(d.Outcomes[i].Backends, o.Backends) {
			d.Outcomes[i].Versions = append(d.Outcomes[i].Versions, o.Versions...)
			return
		}
	}
	d.Outcomes = append(d.Outcomes, o)
}

// decide works out one outcome under the importing cluster's rules. localBackendsOnly says that affinity keeps out all remote backends, whichever there are.
func decide(snap *Snapshot, c *Cluster, svc *Service, fe Frontend, rules cilium.Rules, gates gateCase, d *Decision) (o Outcome, localBackendsOnly bool) {
	offers := make([]offer, len(snap.Clusters))
	for i := range snap.Clusters {
		m := &snap.Clusters[i]
		if m.Name == c.Name {
			offers[i] = localOffer(m, svc, fe, rules)
			continue
		}
		offers[i] = remoteOffer(c, svc, m, fe, rules, gates.open[m.Name])
		if offers[i].reason.Code == ReasonUnread {
			d.doubt(unreadMember)
		}
	}
	d.settleConflicts(offers, svc, rules)
	if d.Kind == KindBalanced {
		affinity := cilium.AffinityOf(svc.Annotations, rules)
		localBackendsOnly = localOnly(offers, c.Name, affinity)
		applyAffinity(offers, c.Name, affinity)
		if !localBackendsOnly {
			d.doubtPlaceholders(offers)
		}
	}
	d.doubtGates(snap, offers, localBackendsOnly, func(m *Cluster) offer { return remoteOffer(c, svc, m, fe, rules, true) })
	return outcome(snap, offers), localBackendsOnly
}

// outcome adds the backends that are left up to shares.
func outcome(snap *Snapshot, offers []offer) Outcome {
	o := Outcome{Shares: make([]Share, 0, len(offers)), Reasons: make([]Reason, 0, len(offers))}
	anyActive := false
	for _, of := range offers {
		anyActive = anyActive || (of.use && of.active() > 0)
	}
	counts := make([]int, len(offers))
	for i, of := range offers {
		if !of.use {
			continue
		}
		for _, b := range of.backends {
			// Terminating backends serve only while there is no active one (pkg/loadbalancer/reconciler, since 1.11).
			if b.terminating && anyActive {
				continue
			}
			o.Backends = append(o.Backends, b.Backend)
			counts[i]++
		}
	}
	for i, of := range offers {
		o.Shares = append(o.Shares, Share{Cluster: snap.Clusters[i].Name, Backends: counts[i], Total: len(o.Backends)})
		r := of.reason
		r.Cluster, r.Used = snap.Clusters[i].Name, counts[i] > 0
		if of.use && counts[i] == 0 && len(of.backends) > 0 {
			r.Code = ReasonTerminating
		}
		o.Reasons = append(o.Reasons, r)
	}
	return o
}
