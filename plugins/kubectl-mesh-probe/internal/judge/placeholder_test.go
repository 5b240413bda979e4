package judge

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// TestField05PredictionOfPlaceholder: the routes of the L7 proxy decide which cluster answers, so there is no prediction.
func TestField05PredictionOfPlaceholder(t *testing.T) {
	t.Parallel()
	key := routing.Key{Namespace: "shop", Name: "cilium-gateway-shop"}
	snap := &routing.Snapshot{}
	for _, name := range []string{"us", "eu"} {
		svc := &routing.Service{Key: key, Annotations: map[string]string{cilium.AnnotationGlobal: "true"}, ClusterIPs: []netip.Addr{netip.MustParseAddr("172.20.0.1")},
			Ports:     []routing.Port{{Name: "port-80", Protocol: "TCP", Port: 80}},
			Endpoints: []routing.Endpoint{{Addr: netip.MustParseAddr("192.192.192.192"), Ports: []routing.Port{{Protocol: "TCP", Port: 9999}}, Ready: true, Serving: true}}}
		snap.Clusters = append(snap.Clusters, routing.Cluster{Name: name, Version: cilium.ParseVersion("1.18.11"), Services: map[routing.Key]*routing.Service{key: svc}})
	}
	p := Predict(snap, "us", key, 80)
	if p.Shares != nil || p.None || !strings.Contains(p.Why, "L7 proxy of cluster us answers") {
		t.Errorf("%+v", p)
	}
}
