package globalsvc

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// bigMesh has every Service of a good one, global everywhere, in each cluster.
func bigMesh(names, services int) (*meshstate.State, []*clusters.Member) {
	var cs []cluster
	for n := range names {
		cs = append(cs, cluster{name: fmt.Sprintf("mesh-%03d", n)})
	}
	st, members := build(cs...)
	for i := range st.Clusters {
		all := st.Clusters[i].Services
		one := *all[nginx]
		one.Endpoints = []routing.Endpoint{{Addr: netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), Ports: []routing.Port{{Name: "http", Protocol: "TCP", Port: 8080}}, Ready: true, Serving: true}}
		delete(all, nginx)
		for s := range services {
			svc := one
			svc.Key = routing.Key{Namespace: "default", Name: fmt.Sprintf("service-%05d", s)}
			all[svc.Key] = &svc
		}
	}
	return st, members
}

func BenchmarkList(b *testing.B) {
	for _, size := range []struct{ clusters, services int }{{3, 10000}, {255, 100}} {
		b.Run(fmt.Sprintf("%dx%d", size.clusters, size.services), func(b *testing.B) {
			st, members := bigMesh(size.clusters, size.services)
			for b.Loop() {
				if doc := List(st, members, false); len(doc.Services) != size.services || len(doc.Findings) != 0 {
					b.Fatalf("%d services, %d findings", len(doc.Services), len(doc.Findings))
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	st, members := bigMesh(3, 10000)
	keys := st.Keys()
	for b.Loop() {
		Check(st, members, keys)
	}
}

func BenchmarkCheckClusters(b *testing.B) {
	_, members := bigMesh(255, 0)
	for b.Loop() {
		CheckClusters(members)
	}
}
