package body

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// random makes the questions. The same seed and number make the same question.
type random struct{ *rand.Rand }

func newRandom(seed, number uint64) random {
	return random{rand.New(rand.NewPCG(seed, number))} //nolint:gosec // a question must be repeatable, not secret
}

// often is true n times in ten.
func (r random) often(n int) bool { return r.IntN(10) < n }

func pick[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

// mixed changes the case of letters.
func (r random) mixed(s string) string {
	switch r.IntN(4) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		b := []byte(s)
		for i := range b {
			if b[i] >= 'a' && b[i] <= 'z' && r.IntN(2) == 0 {
				b[i] -= 'a' - 'A'
			}
		}
		return string(b)
	}
	return s
}

// junk is a value that people write and Cilium does not know.
func (r random) junk() string {
	return pick(r, "", " ", "1", "0", "yes", "no", "on", "t", "f", " true", "true ", "\ttrue", "local ", " remote", "cluster-a", "global", "nil", "null", "trué", "ﬀ", "ſ", "İ", "K", "false false")
}

// boolean is the value of a yes-or-no annotation; yes of ten times it is true.
func (r random) boolean(yes int) string {
	switch {
	case r.often(yes):
		return r.mixed("true")
	case r.often(6):
		return r.mixed("false")
	}
	return r.junk()
}

func (r random) affinity() string {
	if r.often(8) {
		return r.mixed(pick(r, "local", "local", "remote", "remote", "none"))
	}
	return r.junk()
}

// annotations mixes keys and their aliases; global of ten times the Service is meant to be global.
func (r random) annotations(global int) map[string]string {
	ann := map[string]string{}
	if r.often(1) {
		ann["app.kubernetes.io/part-of"] = r.junk()
	}
	set := func(key, alias string, value func() string) {
		n := r.IntN(10)
		if n < 7 {
			ann[key] = value()
		}
		if n >= 6 && n < 9 {
			ann[alias] = value()
		}
	}
	set(cilium.AnnotationGlobal, cilium.AnnotationGlobalAlias, func() string { return r.boolean(global) })
	if r.often(3) {
		set(cilium.AnnotationShared, cilium.AnnotationSharedAlias, func() string { return r.boolean(6) })
	}
	if r.often(7) {
		set(cilium.AnnotationAffinity, cilium.AnnotationAffinityAlias, r.affinity)
	}
	return ann
}

func (r random) namespaceAnnotations() map[string]string {
	ann := map[string]string{}
	if r.often(2) {
		ann[cilium.AnnotationNamespaceGlobal] = r.boolean(6)
	}
	return ann
}

// clusters makes a client's cluster, the first, and one to three others.
func (r random) clusters() []Cluster {
	out := make([]Cluster, 2+r.IntN(3))
	common := r.servicePorts()
	for i := range out {
		ports := slices.Clone(common)
		if r.often(2) {
			ports = r.servicePorts()
		}
		out[i] = r.cluster([]string{"us", "eu", "ap", "sa"}[i], i+1, ports)
	}
	return out
}

// exporter makes a cluster that is asked what it exports.
func (r random) exporter() Cluster { return r.cluster("eu", 2, r.servicePorts()) }

// changed is a cluster in which one thing has become another: the namespace's annotations, the Service, its
// EndpointSlices, or all of these.
func (r random) changed(c Cluster) Cluster {
	next := r.exporter()
	switch r.IntN(4) {
	case 0:
		c.Namespace = next.Namespace
	case 1:
		c.Service = next.Service
	case 2:
		c.Slices = next.Slices
	default:
		c.Namespace, c.Service, c.Slices = next.Namespace, next.Service, next.Slices
	}
	return c
}

func (r random) cluster(name string, id int, ports []corev1.ServicePort) Cluster {
	c := Cluster{Name: name, ID: uint32(id), Namespace: r.namespaceAnnotations(), GlobalByDefault: r.often(9)}
	if r.often(1) && r.often(5) {
		return c
	}
	c.Service = r.service(id, ports)
	c.Slices = r.slices(id, c.Service)
	return c
}

func (r random) service(id int, ports []corev1.ServicePort) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service, Annotations: r.annotations(9), Labels: map[string]string{"app": "cart"}},
		Spec:       corev1.ServiceSpec{Ports: ports, Type: pick(r, corev1.ServiceTypeClusterIP, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort)},
	}
	if r.often(1) && r.often(3) {
		svc.Labels[cilium.LabelServiceProxyName] = pick(r, "", "other")
	}
	if r.often(1) && r.often(3) {
		svc.Labels[corev1.IsHeadlessService] = pick(r, "", "true", "false")
	}
	if r.often(1) && r.often(3) {
		svc.Annotations[cilium.AnnotationType] = pick(r, "NodePort", "LoadBalancer", "ClusterIP", "loadbalancer", "")
	}
	v4, v6 := fmt.Sprintf("172.20.%d.7", id), fmt.Sprintf("fd20:%d::7", id)
	switch n := r.IntN(20); {
	case n == 0:
		svc.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
	case n < 10:
		svc.Spec.ClusterIPs = []string{v4}
	case n < 13:
		svc.Spec.ClusterIPs = []string{v6}
	case n < 17:
		svc.Spec.ClusterIPs = []string{v4, v6}
	default:
		svc.Spec.ClusterIPs = []string{v6, v4}
	}
	svc.Spec.ClusterIP = svc.Spec.ClusterIPs[0]
	if r.often(6) {
		svc.Spec.Selector = map[string]string{"app": "cart"}
	}
	return svc
}

// servicePorts makes ports as the API server takes them: with unique names, of which none is empty where there is
// more than one, and unique pairs of protocol and number.
func (r random) servicePorts() []corev1.ServicePort {
	names := []string{"http", "grpc", "metrics"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	out := make([]corev1.ServicePort, 1+max(0, r.IntN(5)-2))
	for i := range out {
		out[i] = corev1.ServicePort{Name: names[i], Protocol: r.protocol(), Port: int32(80 + i)}
	}
	if len(out) == 1 && r.often(4) {
		out[0].Name = ""
	}
	return out
}

func (r random) protocol() corev1.Protocol {
	return pick(r, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

// slices makes EndpointSlices as the controller does, and now and then as a person does who writes them by hand.
// No address is in two slices of a cluster: which of the two wins depends on their order in Cilium's memory.
func (r random) slices(id int, svc *corev1.Service) []*discoveryv1.EndpointSlice {
	out := make([]*discoveryv1.EndpointSlice, 0, 3)
	for n := range pick(r, 0, 1, 1, 1, 2, 2, 3) {
		s := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", service, n), Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			AddressType: pick(r, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6),
			Ports:       r.ports(svc),
		}
		if r.often(1) {
			switch r.IntN(4) {
			case 0:
				s.Labels[discoveryv1.LabelServiceName] = "other"
			case 1:
				s.Labels[cilium.LabelManagedBy] = cilium.ManagedByMesh
			case 2:
				s.Labels[cilium.LabelManagedBy] = "endpointslice-controller.k8s.io"
			default:
				s.AddressType = discoveryv1.AddressTypeFQDN
			}
		}
		if r.often(1) {
			s.Annotations = map[string]string{cilium.AnnotationWeight: pick(r, "0", "0", "00", "100", "7", "", "-1", "+0", "65536", "none")}
		}
		for e := range r.IntN(4) {
			ep := discoveryv1.Endpoint{Conditions: r.conditions(), NodeName: ptr.To("node")}
			addr := netip.AddrFrom4([4]byte{10, byte(id), byte(n), byte(e + 1)}).String()
			switch s.AddressType {
			case discoveryv1.AddressTypeIPv6:
				addr = fmt.Sprintf("fd00:%x:%x::%x", id, n, e+1)
			case discoveryv1.AddressTypeFQDN:
				addr = "cart.example.test"
			}
			ep.Addresses = []string{addr}
			s.Endpoints = append(s.Endpoints, ep)
		}
		out = append(out, s)
	}
	return out
}

// ports are the Service's ports with their resolved target ports, of which two may be equal.
func (r random) ports(svc *corev1.Service) []discoveryv1.EndpointPort {
	var out []discoveryv1.EndpointPort
	for _, p := range svc.Spec.Ports {
		if r.often(1) && r.often(5) {
			continue // a named target port that these pods do not have
		}
		ep := discoveryv1.EndpointPort{Name: ptr.To(p.Name), Protocol: ptr.To(p.Protocol), Port: ptr.To(pick[int32](r, 8080, 8080, 9090))}
		switch r.IntN(30) {
		case 0:
			ep.Name = ptr.To(pick(r, "web", "http", ""))
		case 1:
			ep.Name = nil
		case 2:
			ep.Protocol = nil
		case 3:
			ep.Protocol = ptr.To(r.protocol())
		case 4:
			ep.Port = nil
		}
		// The API server requires unique names within a slice.
		unique := true
		for _, o := range out {
			unique = unique && ptr.Deref(o.Name, "") != ptr.Deref(ep.Name, "")
		}
		if unique {
			out = append(out, ep)
		}
	}
	return out
}

// conditions are mostly those that the endpoints of pods have, and now and then any.
func (r random) conditions() discoveryv1.EndpointConditions {
	c := func(ready, serving, terminating bool) discoveryv1.EndpointConditions {
		return discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}
	}
	switch n := r.IntN(20); {
	case n < 9:
		return c(true, true, false)
	case n < 13:
		return c(false, false, false)
	case n < 16:
		return c(false, true, true)
	case n < 17:
		return c(false, false, true)
	}
	some := func() *bool { return pick(r, nil, ptr.To(true), ptr.To(false)) }
	return discoveryv1.EndpointConditions{Ready: some(), Serving: some(), Terminating: some()}
}
