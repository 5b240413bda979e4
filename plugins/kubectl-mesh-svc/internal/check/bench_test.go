package check

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

func BenchmarkServices(b *testing.B) {
	st, members := meshtest.Large(3, 10000)
	keys := st.Keys()
	for b.Loop() {
		Services(st, members, keys)
	}
}

func BenchmarkClusters(b *testing.B) {
	_, members := meshtest.Large(255, 0)
	for b.Loop() {
		Clusters(members)
	}
}
