// Package meshtest builds meshes as they were read, for the tests of the packages that decide. Only tests import it.
package meshtest

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// Cluster is one cluster with Service default/nginx, which has no findings unless the functions change it.
type Cluster struct {
	Name    string
	Version string
	Service func(*corev1.Service)
	Slice   func(*discoveryv1.EndpointSlice)
	Absent  bool // it does not have the Service
	Routing func(*routing.Cluster)
	Config  func(*cilium.Config)
}

// Nginx is the Service of each Cluster.
var Nginx = routing.Key{Namespace: "default", Name: "nginx"}

// Build builds the state of clusters that are all peers of one another, and their members.
func Build(cs ...Cluster) (*meshstate.State, []*clusters.Member) {
	st := &meshstate.State{Services: map[string]map[routing.Key]*corev1.Service{}}
	var members []*clusters.Member
	for n, c := range cs {
		if c.Version == "" {
			c.Version = "1.18.11"
		}
		m := &clusters.Member{Name: c.Name, Context: "kind-" + c.Name, Version: cilium.ParseVersion(c.Version), PeersKnown: true,
			Config: cilium.Config{ClusterName: c.Name, ClusterID: uint32(n + 1), MaxConnectedClusters: 255}}
		for _, o := range cs {
			if o.Name != c.Name {
				m.Peers = append(m.Peers, o.Name)
			}
		}
		if c.Config != nil {
			c.Config(&m.Config)
		}
		rc := routing.Cluster{Name: c.Name, Context: m.Context, Version: m.Version, DefaultGlobalNamespace: true,
			Services: map[routing.Key]*routing.Service{}, Namespaces: map[string]map[string]string{"default": {}},
			Peers: slices.Clone(m.Peers), PeersKnown: true}
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx", Annotations: map[string]string{cilium.AnnotationGlobal: "true"}, Labels: map[string]string{}},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: "172.20.1.1", ClusterIPs: []string{"172.20.1.1"}, Selector: map[string]string{"a": "b"},
				Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
		slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "nginx"}},
			Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0." + string(rune('1'+n))}}}}
		if c.Service != nil {
			c.Service(svc)
		}
		if c.Slice != nil {
			c.Slice(slice)
		}
		if c.Routing != nil {
			c.Routing(&rc)
		}
		st.Services[c.Name] = map[routing.Key]*corev1.Service{}
		if !c.Absent {
			st.Services[c.Name][Nginx] = svc
			rc.Services[Nginx] = routing.FromService(svc, []*discoveryv1.EndpointSlice{slice})
		}
		st.Clusters = append(st.Clusters, rc)
		members = append(members, m)
	}
	return st, members
}

// Annotate sets annotations; "-" removes one.
func Annotate(kv ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i+1] == "-" {
				delete(s.Annotations, kv[i])
				continue
			}
			s.Annotations[kv[i]] = kv[i+1]
		}
	}
}

// DrainedBy is what a drain of the cluster leaves, and the value that shared has now.
func DrainedBy(cluster, shared string) func(*corev1.Service) {
	return Annotate(cilium.AnnotationShared, shared, drainrecord.AnnotationDrained, *drainrecord.Mark{Drain: "d", Cluster: cluster}.Text())
}

// Gateway is a cluster in which default/nginx is the Service of a Gateway.
func Gateway(name string, more ...string) Cluster {
	return Cluster{Name: name, Version: "1.20.2", Service: func(s *corev1.Service) {
		s.Spec.Selector, s.Spec.Type, s.Annotations = nil, corev1.ServiceTypeLoadBalancer, Annotations(Global, more...)
		s.Spec.ExternalTrafficPolicy, s.Spec.SessionAffinity = corev1.ServiceExternalTrafficPolicyLocal, corev1.ServiceAffinityClientIP
	}, Slice: func(s *discoveryv1.EndpointSlice) {
		s.Ports = []discoveryv1.EndpointPort{{Port: ptr.To[int32](9999)}}
		s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"192.192.192.192"}}}
	}}
}

// Ordinary is a cluster in which default/nginx has endpoints of its own.
func Ordinary(name string) Cluster { return Cluster{Name: name, Version: "1.20.2"} }

// Large builds clusters that all have the same number of Services, each global and without findings.
func Large(names, services int) (*meshstate.State, []*clusters.Member) {
	var cs []Cluster
	for n := range names {
		cs = append(cs, Cluster{Name: fmt.Sprintf("mesh-%03d", n)})
	}
	st, members := Build(cs...)
	for i := range st.Clusters {
		all := st.Clusters[i].Services
		one := *all[Nginx]
		one.Endpoints = []routing.Endpoint{{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), Ports: []routing.Port{{Name: "http", Protocol: "TCP", Port: 8080}}, Ready: true, Serving: true}}
		delete(all, Nginx)
		for s := range services {
			svc := one
			svc.Key = routing.Key{Namespace: "default", Name: fmt.Sprintf("service-%05d", s)}
			all[svc.Key] = &svc
		}
	}
	return st, members
}
