package routing

import (
	"net/netip"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// offer is what one cluster brings to a client's choice, before affinity.
type offer struct {
	cluster  string
	use      bool
	backends []candidate
	reason   Reason
	// placeholder says that the client's agents would import a placeholder, which is not among the backends.
	placeholder bool
}

type candidate struct {
	Backend
	terminating bool
}

// active counts the backends that are not terminating.
func (o offer) active() int {
	n := 0
	for _, b := range o.backends {
		if !b.terminating {
			n++
		}
	}
	return n
}

// localOffer collects the client cluster's own backends.
func localOffer(c *Cluster, svc *Service, fe Frontend, rules cilium.Rules) offer {
	o := offer{cluster: c.Name, use: true, reason: Reason{Code: ReasonLocal}}
	var seen missing
	rules.LosesSharedTargetPorts = false // the import loses them
	for _, e := range svc.Endpoints {
		usable, terminating := e.balanced(rules)
		if svc.Headless { // DNS names ready pods only
			usable = e.Ready
		}
		if usable && rules.SliceWeights && e.Weighted && e.Weight == 0 && !svc.Headless {
			usable, seen.weightless = false, true
		}
		o.add(c.Name, e, fe, rules, svc.Headless, usable, terminating, &seen)
	}
	if len(o.backends) == 0 {
		o.reason = seen.reason(svc, fe)
	}
	return o
}

// remoteOffer collects what cluster m offers to the clients of c. ungated says that m is taken to have no namespace gate.
func remoteOffer(c *Cluster, svc *Service, m *Cluster, fe Frontend, rules cilium.Rules, ungated bool) offer {
	o := offer{cluster: m.Name}
	no := func(code Code, b cilium.Bool) offer {
		o.reason = Reason{Code: code, Key: b.Key, Value: b.Raw}
		return o
	}
	if g := cilium.Global(svc.Annotations); !g.Value {
		return no(ReasonNotGlobalHere, g)
	}
	if c.outside() {
		return no(ReasonRefused, cilium.Bool{Raw: cilium.Refusal(c.ID, c.MaxClusters, m.ID, m.MaxClusters)})
	}
	// Before the peers are looked at: the Cilium name of a member that could not be read may be unknown.
	if m.Gap != "" {
		return no(ReasonUnread, cilium.Bool{Raw: m.Gap})
	}
	// The exporter writes to its own etcd whoever listens, so the importer's configuration alone decides.
	if !c.peered(m.Name) {
		return no(ReasonNotPeer, cilium.Bool{})
	}
	if c.IDKnown && m.IDKnown {
		if why := cilium.Refusal(c.ID, c.MaxClusters, m.ID, m.MaxClusters); why != "" {
			return no(ReasonRefused, cilium.Bool{Raw: why})
		}
	}
	endpoints, r := m.offers(svc.Key, ungated)
	if r.Code != ReasonUsed {
		o.reason = r
		return o
	}
	if svc.Headless && !c.Mirrors(svc) {
		return no(ReasonHeadless, cilium.Bool{})
	}
	o.use, o.reason = true, Reason{Code: ReasonUsed}
	var seen missing
	for _, e := range endpoints {
		// Whatever is exported arrives as active, a terminating pod that still serves included.
		o.add(m.Name, e, fe, rules, svc.Headless, true, false, &seen)
	}
	if len(o.backends) == 0 {
		o.use = false
		o.reason = seen.reason(m.Services[svc.Key], fe)
	}
	return o
}

// Offers returns the endpoints of a Service that the cluster exports to the others, with ReasonUsed, or why
// it exports the Service not at all.
// Source: ClusterServiceConverter.Convert in operator/watchers/service_sync.go (1.20.2, run; 1.18.11, 1.19.5, read).
func (c *Cluster) Offers(key Key) ([]Endpoint, Reason) { return c.offers(key, false) }

// offers is Offers; ungated says that the cluster is taken to have no namespace gate.
func (c *Cluster) offers(key Key, ungated bool) ([]Endpoint, Reason) {
	no := func(code Code, b cilium.Bool) ([]Endpoint, Reason) {
		return nil, Reason{Code: code, Key: b.Key, Value: b.Raw}
	}
	svc := c.Services[key]
	if svc == nil {
		return no(ReasonMissing, cilium.Bool{})
	}
	// The exporter watches by the label too, and is taken to have no option of its own: ownProxies says where it may.
	if cilium.Ignored(svc.Labels, "") {
		return no(ReasonIgnoredThere, cilium.Bool{Key: cilium.LabelServiceProxyName, Raw: svc.Labels[cilium.LabelServiceProxyName]})
	}
	if g := cilium.Global(svc.Annotations); !g.Value {
		return no(ReasonNotGlobalThere, g)
	}
	if s := cilium.Shared(svc.Annotations); !s.Value {
		return no(ReasonNotShared, s)
	}
	if n := cilium.NamespaceGlobal(c.Namespaces[key.Namespace], c.DefaultGlobalNamespace); !n.Value && !ungated && c.exporter().NamespaceGate {
		return no(ReasonNamespace, n)
	}
	out := slices.Grow([]Endpoint(nil), len(svc.Endpoints))
	rules := c.exporter()
	for _, e := range svc.Endpoints {
		if e.exported(rules) {
			out = append(out, e)
		}
	}
	return out, Reason{Code: ReasonUsed}
}

// GateUnknown reports whether it is unknown if the cluster exports Services from a namespace: its version has the namespace gate, and
// the namespace may not be read.
func (c *Cluster) GateUnknown(namespace string) bool {
	_, read := c.Namespaces[namespace]
	return c.NamespacesHidden && !read && c.exporter().NamespaceGate
}

// exporter returns the rules by which the cluster exports. An unknown version counts as the newest; gateCases and
// unsureExports ask for the others.
func (c *Cluster) exporter() cilium.Rules { return cilium.RulesFor(c.Version)[0].Rules }

// add appends the endpoint's addresses that serve the frontend, each address and port once:
// a backend that serves under several port names is still one backend.
func (o *offer) add(cluster string, e Endpoint, fe Frontend, rules cilium.Rules, headless, usable, terminating bool, seen *missing) {
	if !usable {
		return
	}
	if e.isPlaceholder() {
		seen.placeholder = true
		o.placeholder = o.placeholder || !headless && e.imports(fe, rules)
		return
	}
	seen.usable++
	if e.Addr.Is6() != fe.IPv6 {
		seen.family++
		return
	}
	if headless {
		o.backends = append(o.backends, candidate{Backend{cluster, netip.AddrPortFrom(e.Addr, 0), e.Pod}, terminating})
		return
	}
	for _, p := range e.Ports {
		if cilium.IsPlaceholder(e.Addr, p.Port) {
			continue
		}
		if p.Protocol != fe.Protocol {
			if portMatches(fe.Name, p, e, rules) {
				seen.protocols = appendNew(seen.protocols, p.Protocol)
			} else {
				seen.others = appendNew(seen.others, p.Protocol)
			}
			continue
		}
		if !portMatches(fe.Name, p, e, rules) {
			seen.ports = appendNew(seen.ports, p.Name)
			continue
		}
		if rules.LosesSharedTargetPorts && fe.Name != "" && e.shares(p) {
			seen.lost = true
			continue
		}
		b := Backend{cluster, netip.AddrPortFrom(e.Addr, uint16(p.Port)), e.Pod}
		if !slices.ContainsFunc(o.backends, func(c candidate) bool { return c.Addr == b.Addr }) {
			o.backends = append(o.backends, candidate{b, terminating})
		}
	}
}

// shares reports whether another port of the endpoint has the same protocol and number.
func (e Endpoint) shares(p Port) bool {
	return slices.ContainsFunc(e.Ports, func(o Port) bool {
		return o.Name != p.Name && o.Protocol == p.Protocol && o.Port == p.Port
	})
}

// portMatches compares a frontend's port name with those of an endpoint's port.
// Up to 1.17 they must be equal. From 1.18 the ports of one protocol and number are one backend with the names of all
// of them, and an unnamed side matches anything: the frontend, or a backend that has no name at all.
// Source: pkg/loadbalancer/writer/writer.go matchesFrontend, convertEndpoints and ClusterServiceToBackendParams
// (1.20.2, run; 1.18.11, 1.19.5, read).
func portMatches(frontend string, p Port, e Endpoint, rules cilium.Rules) bool {
	if rules.StrictPortNames {
		return frontend == p.Name
	}
	if frontend == "" {
		return true
	}
	named := false
	for _, o := range e.Ports {
		if o.Protocol != p.Protocol || o.Port != p.Port || o.Name == "" {
			continue
		}
		if o.Name == frontend {
			return true
		}
		named = true
	}
	return !named
}

// missing collects why endpoints did not match, for the reason.
type missing struct {
	usable, family int
	ports          []string // names of ports with the right protocol
	protocols      []string // of ports with the right name
	others         []string // protocols of ports with neither
	lost           bool
	weightless     bool // usable but for their weight 0
	placeholder    bool // there is a placeholder
}

func (m missing) reason(svc *Service, fe Frontend) Reason {
	switch {
	case m.usable == 0 && m.weightless:
		return Reason{Code: ReasonWeight}
	case m.usable == 0 && m.placeholder && svc.TotalEndpoints() == 0:
		return Reason{Code: ReasonPlaceholder}
	case m.usable == 0:
		return Reason{Code: ReasonNoEndpoints, Total: svc.TotalEndpoints()}
	case m.family == m.usable:
		return Reason{Code: ReasonFamily, Value: fe.Family()}
	case m.lost:
		return Reason{Code: ReasonPortLost, Value: fe.Name}
	case len(m.protocols) == 0 && len(m.ports) > 0:
		return Reason{Code: ReasonPort, Ports: m.ports, Value: fe.Name}
	case len(m.protocols) > 0:
		return Reason{Code: ReasonProtocol, Ports: m.protocols, Value: fe.Protocol}
	default:
		return Reason{Code: ReasonProtocol, Ports: m.others, Value: fe.Protocol}
	}
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
