package origin

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// BenchmarkIdentify identifies the senders of replies of which only the date changes, once in 1,000 replies.
func BenchmarkIdentify(b *testing.B) {
	key := routing.Key{Namespace: "shop", Name: "web"}
	snap := &routing.Snapshot{}
	for c, name := range []string{"us", "eu", "ap"} {
		svc := &routing.Service{Key: key}
		for i := range 10 {
			svc.Endpoints = append(svc.Endpoints, routing.Endpoint{
				Pod: fmt.Sprintf("web-7d9f8b6c5d-%s%03d", name, i), Node: fmt.Sprintf("%s-worker-%d", name, i), Addr: netip.AddrFrom4([4]byte{10, byte(c), 0, byte(i)}), Ready: true,
			})
		}
		snap.Clusters = append(snap.Clusters, routing.Cluster{Name: name, Context: "kind-" + name, Services: map[routing.Key]*routing.Service{key: svc}})
	}
	id, err := Parse("auto", nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	id = id.WithTokens(NewTokens(snap, key))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := reply.Reply{Status: 200, Body: fmt.Appendf(nil, "Hello from web-7d9f8b6c5d-eu%03d in cluster eu\n", i%10), Header: []string{
			"Server: nginx/1.25.3", fmt.Sprintf("Date: Sun, 29 Nov 2026 10:57:%02d GMT", i/1000%60), "Content-Type: text/plain", "Content-Length: 41",
			"Connection: close",
		}}
		if m := id.Identify(&r); m.Name != "eu" {
			b.Fatalf("%+v", m)
		}
	}
}
