package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// Label is on every cluster-scoped object that this package creates, so that it can be found again.
const Label = "lab.kubectl-mesh.io/chaos"

// content is what one cluster gets, in the order in which it is to be written.
type content struct {
	namespaces []*corev1.Namespace
	services   []*corev1.Service
	slices     []*discoveryv1.EndpointSlice
	policies   []*unstructured.Unstructured
}

// content returns the objects of one cluster.
func (p *Plan) content(c Cluster) content {
	var out content
	for _, n := range p.namespaces {
		if slices.Contains(n.missing, c.Name) {
			continue
		}
		out.namespaces = append(out.namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: n.name, Labels: map[string]string{Label: "true"}, Annotations: n.annotations[c.Name],
		}})
		for i, np := range n.policies {
			if np.cluster == c.Name {
				out.policies = append(out.policies, np.object(n.name, i))
			}
		}
	}
	address := 0
	for _, s := range p.services {
		at, ok := s.sites[c.Name]
		if !ok {
			continue
		}
		out.services = append(out.services, s.toService(at))
		if slice := s.toSlice(at, c, &address); slice != nil {
			out.slices = append(out.slices, slice)
		}
	}
	return out
}

func (s *service) toService(at *site) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name, Labels: maps.Clone(at.labels), Annotations: maps.Clone(at.annotations)},
		Spec:       corev1.ServiceSpec{Type: at.kind},
	}
	if at.kind == corev1.ServiceTypeExternalName {
		svc.Spec.ExternalName = s.name + ".example.com"
		return svc
	}
	for _, p := range at.ports {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: p.name, Protocol: p.protocol, Port: p.number, TargetPort: intstr.FromInt32(p.target)})
	}
	if at.selector {
		svc.Spec.Selector = map[string]string{"app": s.name}
	}
	if at.headless {
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	}
	if at.sessionAffinity {
		svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	if at.internalLocal {
		svc.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	}
	if at.externalLocal {
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	return svc
}

// toSlice returns the endpoints, made by hand as no pod runs behind them, or nil where there are none. number counts
// the addresses of a cluster.
func (s *service) toSlice(at *site, c Cluster, number *int) *discoveryv1.EndpointSlice {
	if at.ready+at.notReady == 0 {
		return nil
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: s.name + "-by-hand",
			Labels: map[string]string{discoveryv1.LabelServiceName: s.name, discoveryv1.LabelManagedBy: "meshlab"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	if at.ipv6 {
		slice.AddressType = discoveryv1.AddressTypeIPv6
	}
	for i := range at.ready + at.notReady {
		ready := i < at.ready
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{c.podAddress(*number, at.ipv6)},
			Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(ready), Serving: ptr.To(ready), Terminating: ptr.To(false)},
		})
		*number++
	}
	for _, p := range at.ports {
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: ptr.To(p.name), Protocol: ptr.To(p.protocol), Port: ptr.To(p.target)})
	}
	return slice
}

// Addresses of pods begin above those of the lab's nodes, which have the first networks of a cluster's range.
const (
	firstNetwork        = 16
	addressesPerNetwork = 250
)

// podAddress returns an address of the cluster's pod CIDR that no pod of the lab has.
func (c Cluster) podAddress(number int, ipv6 bool) string {
	if ipv6 {
		return fmt.Sprintf("fd00:%s::%x", strings.ReplaceAll(c.PodPrefix, ".", ":"), number+1)
	}
	return fmt.Sprintf("%s.%d.%d", c.PodPrefix, firstNetwork+number/addressesPerNetwork, 1+number%addressesPerNetwork)
}

func (p policy) object(namespace string, number int) *unstructured.Unstructured {
	version, kind := "networking.k8s.io/v1", "NetworkPolicy"
	if p.cilium {
		version, kind = "cilium.io/v2", "CiliumNetworkPolicy"
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": version, "kind": kind,
		"metadata": map[string]any{"namespace": namespace, "name": fmt.Sprintf("policy-%d", number+1)},
		"spec":     p.spec,
	}}
}
