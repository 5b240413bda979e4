package routing

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

func TestFromService(t *testing.T) {
	t.Parallel()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx", Annotations: map[string]string{"a": "b"}},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, ClusterIP: "172.20.1.7", ClusterIPs: []string{"172.20.1.7", "fd00::7"}, Selector: map[string]string{"app": "nginx"},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	slice := func(name string, labels map[string]string, eps ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
		labels[discoveryv1.LabelServiceName] = "nginx"
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: labels},
			Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}}, Endpoints: eps}
	}
	ep := func(ip string, c discoveryv1.EndpointConditions) discoveryv1.Endpoint {
		return discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: c, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "p"}, NodeName: ptr.To("n")}
	}
	other := slice("other", map[string]string{}, ep("10.1.0.9", discoveryv1.EndpointConditions{}))
	other.Labels[discoveryv1.LabelServiceName] = "else"
	got := FromService(svc, []*discoveryv1.EndpointSlice{
		slice("a", map[string]string{}, ep("10.1.0.1", discoveryv1.EndpointConditions{}), ep("10.1.0.2", discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)})),
		slice("again", map[string]string{}, ep("10.1.0.1", discoveryv1.EndpointConditions{})),
		slice("mirrored", map[string]string{cilium.LabelManagedBy: cilium.ManagedByMesh}, ep("10.2.0.1", discoveryv1.EndpointConditions{})),
		slice("fqdn", map[string]string{}, ep("example.test", discoveryv1.EndpointConditions{})),
		other,
	})
	ports := []Port{{Name: "http", Protocol: "TCP", Port: 8080}}
	want := &Service{Key: Key{"default", "nginx"}, Annotations: svc.Annotations, Type: "ClusterIP", Selector: true, PodLabels: map[string]string{"app": "nginx"}, ExternalLocal: true,
		ClusterIPs: []netip.Addr{netip.MustParseAddr("172.20.1.7"), netip.MustParseAddr("fd00::7")},
		Ports:      []Port{{Name: "http", Protocol: "TCP", Port: 80}},
		Endpoints: []Endpoint{
			{Addr: netip.MustParseAddr("10.1.0.1"), Ports: ports, Ready: true, Serving: true, ServingUnset: true, Node: "n", Pod: "p"},
			{Addr: netip.MustParseAddr("10.1.0.2"), Ports: ports, Serving: true, Terminating: true, Node: "n", Pod: "p"},
		}}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Error(d)
	}
	if fes := got.Frontends(); len(fes) != 2 || fes[0].Family() != "IPv4" || fes[1].Family() != "IPv6" {
		t.Errorf("frontends %+v", fes)
	}
}

// TestTopology: with internalTrafficPolicy Local, agents do not heed what else the Service prefers.
func TestTopology(t *testing.T) {
	t.Parallel()
	for policy, want := range map[corev1.ServiceInternalTrafficPolicy]bool{corev1.ServiceInternalTrafficPolicyLocal: false, corev1.ServiceInternalTrafficPolicyCluster: true} {
		svc := &corev1.Service{Spec: corev1.ServiceSpec{InternalTrafficPolicy: &policy, TrafficDistribution: ptr.To(corev1.ServiceTrafficDistributionPreferClose)}}
		if got := FromService(svc, nil); got.Topology != want || got.InternalLocal == want {
			t.Errorf("%s: topology %v", policy, got.Topology)
		}
	}
}

// TestDisputed: which of two slices counts matters only where they differ.
func TestDisputed(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr("10.1.0.1")
	http, web := []Port{{Name: "http", Protocol: "TCP", Port: 8080}}, []Port{{Name: "web", Protocol: "TCP", Port: 8080}}
	ready := Endpoint{Addr: addr, Ports: http, Ready: true, Serving: true}
	for name, c := range map[string]struct {
		other             Endpoint
		conditions, ports bool
	}{
		"the same":           {ready, false, false},
		"of another node":    {Endpoint{Addr: addr, Ports: http, Ready: true, Serving: true, Node: "n", Pod: "p"}, false, false},
		"not ready":          {Endpoint{Addr: addr, Ports: http, Serving: true}, true, false},
		"another port":       {Endpoint{Addr: addr, Ports: web, Ready: true, Serving: true}, false, true},
		"another weight":     {Endpoint{Addr: addr, Ports: http, Ready: true, Serving: true, Weighted: true}, true, false},
		"of another address": {Endpoint{Addr: netip.MustParseAddr("10.1.0.2"), Ports: web}, false, false},
	} {
		svc := &Service{}
		svc.AddEndpoints([]Endpoint{ready})
		svc.AddEndpoints([]Endpoint{c.other})
		if e := svc.Endpoints[0]; e.DisputedConditions != c.conditions || e.DisputedPorts != c.ports {
			t.Errorf("%s: disputed: conditions %v, ports %v", name, e.DisputedConditions, e.DisputedPorts)
		}
	}
}
