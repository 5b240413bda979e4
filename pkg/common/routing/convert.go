package routing

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// FromService converts a Service and the EndpointSlices that carry its name.
// Slices that Cilium itself synchronised from other clusters are left out, as in Cilium
// (pkg/k8s/utils/utils.go), and so are slices of other Services.
func FromService(svc *corev1.Service, endpointSlices []*discoveryv1.EndpointSlice) *Service {
	out := &Service{
		Key:             Key{svc.Namespace, svc.Name},
		Annotations:     svc.Annotations,
		Labels:          svc.Labels,
		Type:            string(svc.Spec.Type),
		Headless:        svc.Spec.ClusterIP == corev1.ClusterIPNone,
		Selector:        len(svc.Spec.Selector) > 0,
		SessionAffinity: svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
		InternalLocal:   svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal,
		Topology:        cilium.PrefersNear(svc.Annotations, svc.Spec.TrafficDistribution),
		IPv4:            slices.Contains(svc.Spec.IPFamilies, corev1.IPv4Protocol),
		IPv6:            slices.Contains(svc.Spec.IPFamilies, corev1.IPv6Protocol),
	}
	for _, ip := range svc.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			out.ClusterIPs = append(out.ClusterIPs, a.Unmap())
		}
	}
	for _, p := range svc.Spec.Ports {
		out.Ports = append(out.Ports, Port{Name: p.Name, Protocol: protocol(p.Protocol), Port: p.Port})
	}
	out.Endpoints = endpoints(svc, endpointSlices)
	return out
}

// endpoints merges slices: an address that stands in two slices is one endpoint with the ports of both.
func endpoints(svc *corev1.Service, endpointSlices []*discoveryv1.EndpointSlice) []Endpoint {
	var out []Endpoint
	index := map[netip.Addr]int{}
	for _, s := range endpointSlices {
		if s.Namespace != svc.Namespace || s.Labels[discoveryv1.LabelServiceName] != svc.Name ||
			s.Labels[cilium.LabelManagedBy] == cilium.ManagedByMesh {
			continue
		}
		var ports []Port
		for _, p := range s.Ports {
			if p.Port == nil {
				continue
			}
			np := Port{Protocol: string(corev1.ProtocolTCP), Port: *p.Port}
			if p.Name != nil {
				np.Name = *p.Name
			}
			if p.Protocol != nil {
				np.Protocol = protocol(*p.Protocol)
			}
			ports = append(ports, np)
		}
		for _, e := range s.Endpoints {
			for _, a := range e.Addresses {
				addr, err := netip.ParseAddr(a)
				if err != nil {
					continue // FQDN slices: Cilium does not balance over names
				}
				ep := Endpoint{
					Addr:  addr.Unmap(),
					Ports: ports,
					// Absent conditions: ready and serving count as true, terminating as false (k8s.io/api/discovery/v1).
					Ready:       e.Conditions.Ready == nil || *e.Conditions.Ready,
					Serving:     e.Conditions.Serving == nil || *e.Conditions.Serving,
					Terminating: e.Conditions.Terminating != nil && *e.Conditions.Terminating,
				}
				if e.NodeName != nil {
					ep.Node = *e.NodeName
				}
				if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
					ep.Pod = e.TargetRef.Name
				}
				if i, ok := index[ep.Addr]; ok {
					out[i].Ports = mergePorts(out[i].Ports, ports)
					continue
				}
				index[ep.Addr] = len(out)
				out = append(out, ep)
			}
		}
	}
	return out
}

func mergePorts(a, b []Port) []Port {
	merged := append([]Port(nil), a...)
next:
	for _, p := range b {
		for _, q := range merged {
			if p == q {
				continue next
			}
		}
		merged = append(merged, p)
	}
	return merged
}

func protocol(p corev1.Protocol) string {
	if p == "" {
		return string(corev1.ProtocolTCP)
	}
	return string(p)
}
