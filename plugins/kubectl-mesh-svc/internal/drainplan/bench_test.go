package drainplan

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// bigMesh is a fully peered mesh in which every Service is global everywhere and has three endpoints. It is drained of its first cluster.
func bigMesh(members, services int) (*meshstate.State, *clusters.Member) {
	st := &meshstate.State{Services: map[string]map[routing.Key]*corev1.Service{}}
	var names []string
	for n := range members {
		names = append(names, fmt.Sprintf("mesh-%03d", n))
	}
	for n, name := range names {
		c := routing.Cluster{Name: name, Version: cilium.ParseVersion("1.20.2"), PeersKnown: true, DefaultGlobalNamespace: true, ID: uint32(n + 1), MaxClusters: 255, IDKnown: true,
			Peers: append(append([]string(nil), names[:n]...), names[n+1:]...), Services: map[routing.Key]*routing.Service{}}
		st.Services[name] = map[routing.Key]*corev1.Service{}
		for s := range services {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("service-%05d", s), Annotations: meshtest.Global},
				Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"172.20.1.1"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
			plain := routing.FromService(svc, nil)
			for e := range 3 {
				plain.Endpoints = append(plain.Endpoints, routing.Endpoint{Addr: netip.AddrFrom4([4]byte{10, byte(n), byte(s), byte(e + 1)}),
					Ports: []routing.Port{{Name: "http", Protocol: "TCP", Port: 80}}, Ready: true, Serving: true})
			}
			st.Services[name][plain.Key], c.Services[plain.Key] = svc, plain
		}
		st.Clusters = append(st.Clusters, c)
	}
	return st, &clusters.Member{Name: names[0], Peers: names[1:], PeersKnown: true}
}

// BenchmarkDrain plans the drain of one of 60 clusters with 50 Services, all of which have endpoints elsewhere, and asks what is uncertain.
func BenchmarkDrain(b *testing.B) {
	st, m := bigMesh(60, 50)
	for b.Loop() {
		if p := Drain(st, m, &drainrecord.Record{ID: "new"}, "mesh-001"); len(p.Items) != 50 || p.Items[0].Message != "" {
			b.Fatalf("%+v", p.Items[0])
		}
		if why := Uncertain(st, m); len(why) > 0 {
			b.Fatal(why)
		}
	}
}
