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
	for _, e := range svc.Endpoints {
		// Ready is active, serving and terminating is the fallback, all else is out.
		// Source: pkg/loadbalancer convertEndpoints (1.18+), read. DNS names ready pods only.
		usable := e.Ready || e.Serving && e.Terminating && !svc.Headless
		o.add(c.Name, e, fe, rules, svc.Headless, usable, !e.Ready, &seen)
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
	there := m.Services[svc.Key]
	if there == nil {
		return no(ReasonMissing, cilium.Bool{})
	}
	// The exporter watches Services without the label only (pkg/k8s ServiceResource, 1.19.7 and 1.20.2, read).
	if v := there.Labels[cilium.LabelServiceProxyName]; v != "" {
		return no(ReasonIgnoredThere, cilium.Bool{Key: cilium.LabelServiceProxyName, Raw: v})
	}
	if g := cilium.Global(there.Annotations); !g.Value {
		return no(ReasonNotGlobalThere, g)
	}
	if s := cilium.Shared(there.Annotations); !s.Value {
		return no(ReasonNotShared, s)
	}
	if n := cilium.NamespaceGlobal(m.Namespaces[svc.Namespace], m.DefaultGlobalNamespace); !n.Value && !ungated && exporterGates(m) {
		return no(ReasonNamespace, n)
	}
	if svc.Headless && !c.syncs(svc) {
		return no(ReasonHeadless, cilium.Bool{})
	}
	o.use, o.reason = true, Reason{Code: ReasonUsed}
	var seen missing
	for _, e := range there.Endpoints {
		// Whatever is exported arrives as active, a terminating pod that still serves included.
		o.add(m.Name, e, fe, rules, svc.Headless, e.Exported(), false, &seen)
	}
	if len(o.backends) == 0 {
		o.use = false
		o.reason = seen.reason(there, fe)
	}
	return o
}

// exporterGates reports whether the exporting cluster's version has the namespace gate.
// An unknown version counts as the newest; gateCases asks for the others.
func exporterGates(m *Cluster) bool {
	return cilium.RulesFor(m.Version)[0].NamespaceGate
}

// syncs reports whether the remote endpoints of a headless Service are mirrored into this cluster's
// EndpointSlices: the feature is on and the annotation, read under its new key only, does not say otherwise.
// Source: pkg/clustermesh/endpointslicesync/service_informer.go.
func (c *Cluster) syncs(svc *Service) bool {
	v, ok := svc.Annotations[cilium.AnnotationSyncEndpointSlices]
	_, newKey := svc.Annotations[cilium.AnnotationGlobal]
	return c.EndpointSliceSync && newKey && (!ok || equalFoldTrue(v))
}

// add appends the endpoint's addresses that serve the frontend, each address and port once:
// a backend that serves under several port names is still one backend.
func (o *offer) add(cluster string, e Endpoint, fe Frontend, rules cilium.Rules, headless, usable, terminating bool, seen *missing) {
	if !usable {
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
		if p.Protocol != fe.Protocol {
			seen.protocols = appendNew(seen.protocols, p.Protocol)
			continue
		}
		if !portMatches(fe.Name, p.Name, rules) {
			seen.ports = appendNew(seen.ports, p.Name)
			continue
		}
		b := Backend{cluster, netip.AddrPortFrom(e.Addr, uint16(p.Port)), e.Pod}
		if !slices.ContainsFunc(o.backends, func(c candidate) bool { return c.Addr == b.Addr }) {
			o.backends = append(o.backends, candidate{b, terminating})
		}
	}
}

// portMatches compares a frontend's port name with a backend's.
// Up to 1.17 they must be equal; from 1.18 an unnamed side matches anything.
// Source: pkg/loadbalancer/writer/writer.go matchesFrontend (1.18.11, 1.19.5, 1.20.2, run).
func portMatches(frontend, backend string, rules cilium.Rules) bool {
	if rules.StrictPortNames {
		return frontend == backend
	}
	return frontend == "" || backend == "" || frontend == backend
}

// missing collects why endpoints did not match, for the reason.
type missing struct {
	usable, family   int
	ports, protocols []string
}

func (m missing) reason(svc *Service, fe Frontend) Reason {
	switch {
	case m.usable == 0:
		return Reason{Code: ReasonNoEndpoints, Total: len(svc.Endpoints)}
	case m.family == m.usable:
		return Reason{Code: ReasonFamily, Value: fe.Family()}
	case len(m.ports) > 0:
		return Reason{Code: ReasonPort, Ports: m.ports, Value: fe.Name}
	default:
		return Reason{Code: ReasonProtocol, Ports: m.protocols, Value: fe.Protocol}
	}
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
