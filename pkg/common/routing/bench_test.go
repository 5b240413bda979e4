package routing

import (
	"fmt"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// bigMesh is a fully peered mesh in which every Service is global everywhere and has three endpoints.
func bigMesh(clusters, services int) *Snapshot {
	snap := &Snapshot{}
	for n := range clusters {
		c := Cluster{Name: fmt.Sprintf("mesh-%03d", n), Version: cilium.ParseVersion("1.18.11"), PeersKnown: true, DefaultGlobalNamespace: true, Services: map[Key]*Service{}}
		for p := range clusters {
			if p != n {
				c.Peers = append(c.Peers, fmt.Sprintf("mesh-%03d", p))
			}
		}
		for s := range services {
			svc := service(n+1, 3, "global")
			svc.Key = Key{Namespace: "default", Name: fmt.Sprintf("service-%05d", s)}
			c.Services[svc.Key] = svc
		}
		snap.Clusters = append(snap.Clusters, c)
	}
	return snap
}

// BenchmarkDecide predicts each of 10,000 Services for the clients of one of three clusters.
func BenchmarkDecide(b *testing.B) {
	snap := bigMesh(3, 10000)
	keys := snap.Keys()
	for b.Loop() {
		for _, k := range keys {
			Decide(snap, "mesh-001", k, http)
		}
	}
}

// BenchmarkMismatches looks at one Service for the clients of each of 255 clusters.
func BenchmarkMismatches(b *testing.B) {
	snap := bigMesh(255, 1)
	for b.Loop() {
		m := NewMatcher(snap, snap.Keys()[0])
		for i := range snap.Clusters {
			m.Mismatches(&snap.Clusters[i], http)
		}
	}
}
