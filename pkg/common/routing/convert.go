package routing

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// FromService converts a Service and the EndpointSlices that carry its name; slices of other Services are left out.
func FromService(svc *corev1.Service, endpointSlices []*discoveryv1.EndpointSlice) *Service {
	internalLocal := svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
	out := &Service{
		Key:             Key{svc.Namespace, svc.Name},
		Annotations:     svc.Annotations,
		Labels:          svc.Labels,
		Type:            string(svc.Spec.Type),
		Headless:        svc.Spec.ClusterIP == corev1.ClusterIPNone,
		Selector:        len(svc.Spec.Selector) > 0,
		SessionAffinity: svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
		InternalLocal:   internalLocal,
		PodLabels:       svc.Spec.Selector,
		Topology:        cilium.PrefersNear(svc.Annotations, svc.Spec.TrafficDistribution, internalLocal),
		IPv4:            slices.Contains(svc.Spec.IPFamilies, corev1.IPv4Protocol),
		IPv6:            slices.Contains(svc.Spec.IPFamilies, corev1.IPv6Protocol),
		ExternalLocal:   svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		Owners:          owners.Of(svc.ObjectMeta),
	}
	for _, ip := range svc.Spec.ClusterIPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			out.ClusterIPs = append(out.ClusterIPs, a.Unmap())
		}
	}
	for _, p := range svc.Spec.Ports {
		out.Ports = append(out.Ports, Port{Name: p.Name, Protocol: protocol(p.Protocol), Port: p.Port})
	}
	for _, s := range endpointSlices {
		if key, endpoints := FromSlice(s); key == out.Key {
			out.AddEndpoints(endpoints)
			out.NoteSlice(s)
		}
	}
	return out
}

// FromSlice converts an EndpointSlice to the name of its Service and endpoints for Service.AddEndpoints.
// Slices that Cilium itself synchronised from other clusters have none, as in Cilium (pkg/k8s/utils/utils.go).
func FromSlice(s *discoveryv1.EndpointSlice) (Key, []Endpoint) {
	key := Key{s.Namespace, s.Labels[discoveryv1.LabelServiceName]}
	if s.Labels[cilium.LabelManagedBy] == cilium.ManagedByMesh {
		return key, nil
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
	weight, weighted := cilium.SliceWeight(s.Annotations)
	out := make([]Endpoint, 0, len(s.Endpoints))
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		for _, a := range e.Addresses {
			addr, err := netip.ParseAddr(a)
			if err != nil {
				continue // FQDN slices: Cilium does not balance over names
			}
			ep := Endpoint{
				Addr:  addr.Unmap(),
				Ports: ports,
				// Absent conditions: ready and serving count as true, terminating as false (k8s.io/api/discovery/v1).
				Ready:        e.Conditions.Ready == nil || *e.Conditions.Ready,
				Serving:      e.Conditions.Serving == nil || *e.Conditions.Serving,
				Terminating:  e.Conditions.Terminating != nil && *e.Conditions.Terminating,
				ServingUnset: e.Conditions.Serving == nil,
				Weight:       weight, Weighted: weighted,
			}
			if e.NodeName != nil {
				ep.Node = *e.NodeName
			}
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
				ep.Pod = e.TargetRef.Name
			}
			out = append(out, ep)
		}
	}
	return key, out
}

// NoteSlice keeps the annotations of a slice that look like one that Cilium reads.
func (s *Service) NoteSlice(slice *discoveryv1.EndpointSlice) {
	if wrong := cilium.WrongSliceKeys(slice.Annotations, slice.Labels); len(wrong) > 0 {
		if s.WrongSliceKeys == nil {
			s.WrongSliceKeys = map[string][]cilium.WrongKey{}
		}
		s.WrongSliceKeys[slice.Name] = wrong
	}
}

// AddEndpoints adds what one or more EndpointSlices hold: an address in two of them is one endpoint with the ports of both. See Endpoint.DisputedPorts.
func (s *Service) AddEndpoints(endpoints []Endpoint) {
	// Nearly all Services have a few endpoints; to make an index of those takes longer than to look at each.
	const few = 8
	var index map[netip.Addr]int
	if n := len(s.Endpoints) + len(endpoints); n > few {
		index = make(map[netip.Addr]int, n)
		for i, e := range s.Endpoints {
			index[e.Addr] = i
		}
	}
	s.Endpoints = slices.Grow(s.Endpoints, len(endpoints))
	for _, e := range endpoints {
		i, ok := index[e.Addr]
		if index == nil {
			i = slices.IndexFunc(s.Endpoints, func(have Endpoint) bool { return have.Addr == e.Addr })
			ok = i >= 0
		}
		if ok {
			have := &s.Endpoints[i]
			have.DisputedConditions = have.DisputedConditions || have.conditions() != e.conditions()
			have.DisputedPorts = have.DisputedPorts || !slices.Equal(have.Ports, e.Ports)
			have.Ports = mergePorts(have.Ports, e.Ports)
			continue
		}
		if index != nil {
			index[e.Addr] = len(s.Endpoints)
		}
		s.Endpoints = append(s.Endpoints, e)
	}
}

// conditions are what two EndpointSlices may say differently of one address, apart from its ports.
func (e Endpoint) conditions() [5]any {
	return [5]any{e.Ready, e.Serving, e.Terminating, e.Weight, e.Weighted}
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
