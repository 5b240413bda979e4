package graph

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// TestGraph: the share of an edge is the mean over the Services that it counts; who cannot be read is unknown.
func TestGraph(t *testing.T) {
	t.Parallel()
	st, members := meshtest.State(t, "us=nginx,web", "eu=nginx", "ap=")
	nginx := routing.Key{Namespace: "default", Name: "nginx"}
	for i := range 2 {
		svc := st.Clusters[i].Services[nginx]
		svc.Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
		for n := range i + 1 {
			svc.Endpoints = append(svc.Endpoints, endpoint(10+i, n))
		}
	}
	st.Clusters[2] = routing.Cluster{Name: "ap", Gap: "timeout"}
	if got := Keys(st); len(got) != 1 || got[0] != nginx {
		t.Errorf("global: %v", got)
	}
	doc := Build(st, members, st.Keys())
	documents.CheckValue(t, doc)
	got := map[string]v1alpha1.GraphEdge{}
	for _, e := range doc.Edges {
		got[e.From+">"+e.To] = e
	}
	want := map[string]v1alpha1.GraphEdge{
		// web has no endpoints and is not global: nobody answers its clients in us.
		// ap may answer too, so that the others' shares are what they have at most.
		"us>us": {From: "us", To: "us", Services: 1, Share: ptr.To(1.0 / 3), High: 1.0 / 3, Bounded: true},
		"us>eu": {From: "us", To: "eu", Services: 1, Share: ptr.To(2.0 / 3), High: 2.0 / 3, Bounded: true},
		"us>ap": {From: "us", To: "ap", Unknown: 1, High: 1},
		"eu>us": {From: "eu", To: "us", Services: 1, Share: ptr.To(1.0 / 3), High: 1.0 / 3, Bounded: true},
		"eu>eu": {From: "eu", To: "eu", Services: 1, Share: ptr.To(2.0 / 3), High: 2.0 / 3, Bounded: true},
		"eu>ap": {From: "eu", To: "ap", Unknown: 1, High: 1, Code: "not-read"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	nodes := []v1alpha1.GraphCluster{{Name: "us", Read: true, Services: 2, Unanswered: 1, Uncertain: 1, ReadyEndpoints: 1}, {Name: "eu", Read: true, Services: 1, Uncertain: 1, ReadyEndpoints: 2}, {Name: "ap"}}
	if d := cmp.Diff(nodes, doc.Clusters); d != "" {
		t.Error(d)
	}
	web := routing.Key{Namespace: "default", Name: "web"}
	st.Clusters[0].Services[web].Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	st.Clusters = st.Clusters[:2] // ap is a peer still, and may answer
	if c := Build(st, members, []routing.Key{web}).Clusters[0]; c.Services != 1 || c.Unanswered != 0 {
		t.Errorf("a peer that is not read: %+v", c)
	}
	doc = Build(st, members, []routing.Key{nginx})
	for _, e := range append(doc.Edges, doc.Services[0].Edges...) {
		if *e.Share != e.High || e.Low != 0 || !e.Bounded {
			t.Errorf("ap may answer too: %+v", e)
		}
	}
	for i := range st.Clusters {
		if st.Clusters[i].Peers = []string{"us", "eu"}; doc.Clusters[i].Uncertain != 1 {
			t.Errorf("ap may answer too: %+v", doc.Clusters[i])
		}
	}
	doc = Build(st, members, []routing.Key{nginx})
	for _, e := range doc.Edges {
		if *e.Share != e.Low || *e.Share != e.High || e.Low == 0 || e.Bounded {
			t.Errorf("all is read: %+v", e)
		}
	}
	if c := doc.Clusters[0]; c.Uncertain != 0 {
		t.Errorf("all is read: %+v", c)
	}
}

func endpoint(cluster, n int) routing.Endpoint {
	return routing.Endpoint{Addr: netip.AddrFrom4([4]byte{10, byte(cluster), 0, byte(n + 1)}), Ready: true, Serving: true, Ports: []routing.Port{{Protocol: "TCP", Port: 80}}}
}

func secondPort(s *corev1.Service) {
	s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "second", Protocol: corev1.ProtocolTCP, Port: 8443})
}

// TestField05Proxied: a Service that the L7 proxy answers is counted, and has no edges.
func TestField05Proxied(t *testing.T) {
	t.Parallel()
	us := meshtest.Gateway("us")
	us.Service = secondPort // it is one Service, however many ports it has
	st, members := meshtest.Build(us, meshtest.Gateway("eu"))
	g := Build(st, members, []routing.Key{meshtest.Nginx})
	for _, c := range g.Clusters {
		if c.ReadyEndpoints != 0 || c.Services != 1 || c.Proxied != 1 || c.Unanswered != 0 {
			t.Errorf("graph: %+v", c)
		}
	}
	if len(g.Edges) > 0 {
		t.Errorf("graph: %+v", g.Edges)
	}
}

// TestUnserved: a Service exists for the clients of a cluster in which Cilium does not serve it.
func TestUnserved(t *testing.T) {
	t.Parallel()
	external := func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "", nil, "web.example.com"
	}
	label := func(s *corev1.Service) {
		secondPort(s)
		s.Labels[cilium.LabelServiceProxyName] = "other"
	}
	st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: external}, meshtest.Cluster{Name: "eu", Service: label}, meshtest.Cluster{Name: "ap"}, meshtest.Cluster{Name: "sa", Absent: true})
	var got []v1alpha1.GraphCluster
	for _, c := range Build(st, members, []routing.Key{meshtest.Nginx}).Clusters {
		got = append(got, v1alpha1.GraphCluster{Name: c.Name, Services: c.Services, Unserved: c.Unserved, Unanswered: c.Unanswered})
	}
	want := []v1alpha1.GraphCluster{{Name: "us", Services: 1, Unserved: 1}, {Name: "eu", Services: 1, Unserved: 1}, {Name: "ap", Services: 1}, {Name: "sa"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
