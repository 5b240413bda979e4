package routing

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// isPlaceholder reports whether the endpoint is Cilium's L7 placeholder and nothing else. It stays among the endpoints, because
// Cilium exports it like any other; whoever asks who answers leaves it out.
func (e Endpoint) isPlaceholder() bool {
	return len(e.Ports) > 0 && !slices.ContainsFunc(e.Ports, func(p Port) bool { return !cilium.IsPlaceholder(e.Addr, p.Port) })
}

// Proxied reports whether the L7 proxy on the client's node answers for the Service in its own cluster, as for the Services that
// Cilium makes for a Gateway or an Ingress: they have the placeholder and no other endpoint. Only the proxy's routes say which
// Service answers in the end.
//
// Not modelled: redirects of other Services (CiliumEnvoyConfig, HTTPRoutes of a Service), which no endpoint tells.
func (s *Service) Proxied() bool {
	return !s.Headless && len(s.Endpoints) > 0 && s.TotalEndpoints() == 0
}

// TotalEndpoints counts the endpoints, ready or not, without placeholders.
func (s *Service) TotalEndpoints() int {
	n := 0
	for i := range s.Endpoints {
		if !s.Endpoints[i].isPlaceholder() {
			n++
		}
	}
	return n
}

// imports reports whether agents with these rules would import the placeholder as a backend of a frontend.
func (e Endpoint) imports(fe Frontend, rules cilium.Rules) bool {
	return !fe.IPv6 && slices.ContainsFunc(e.Ports, func(p Port) bool { return p.Protocol == fe.Protocol && portMatches(fe.Name, p, e, rules) })
}

// doubtPlaceholders notes the clusters whose placeholder the clients' agents import: nobody answers there, so that a part of the
// connections may fail.
func (d *Decision) doubtPlaceholders(offers []offer) {
	for _, o := range offers {
		if o.placeholder {
			d.open("Cilium in " + o.cluster + " exports the placeholder of its L7 proxy (192.192.192.192:9999) like an endpoint: nothing listens there, and connections to it fail")
		}
	}
}
