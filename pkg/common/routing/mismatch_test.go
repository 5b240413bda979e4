package routing

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// randomService draws from what makes ports match or not.
func randomService(r *rand.Rand, cluster int) *Service {
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	if r.IntN(12) == 0 {
		return nil
	}
	s := service(cluster, 0, one("global", "global", "global", "global,shared=false", ""))
	s.Type = one("ClusterIP", "ClusterIP", "ClusterIP", "ClusterIP", "ExternalName")
	s.Headless = r.IntN(6) == 0
	if r.IntN(12) == 0 {
		s.Labels = map[string]string{cilium.LabelServiceProxyName: "other"}
	}
	port := func(n int32) Port {
		return Port{Name: one("http", "http", "web", ""), Protocol: one("TCP", "TCP", "UDP"), Port: n}
	}
	s.Ports = []Port{port(80), port(81)}
	if s.ClusterIPs = append(s.ClusterIPs, netip.MustParseAddr("fd00::1")); r.IntN(3) > 0 {
		s.ClusterIPs = s.ClusterIPs[:1]
	}
	for n := range r.IntN(3) {
		a := netip.AddrFrom4([4]byte{10, byte(cluster), 0, byte(n + 1)})
		if r.IntN(4) == 0 {
			a = netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", cluster, n+1))
		}
		s.Endpoints = append(s.Endpoints, Endpoint{Addr: a, Ports: []Port{port(8080)}, Ready: r.IntN(5) > 0, Serving: r.IntN(5) > 0})
	}
	return s
}

// TestMismatchesAreThoseOfDecide: the Matcher is a shorter way to the same reasons.
func TestMismatchesAreThoseOfDecide(t *testing.T) {
	t.Parallel()
	found := map[Code]int{}
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		versions := []string{"1.17.9", "1.18.11", "1.20.2", "none"}
		snap := mesh(versions[r.IntN(4)], randomService(r, 1), randomService(r, 2), randomService(r, 3))
		for i := range snap.Clusters {
			c := &snap.Clusters[i]
			c.Version, c.EndpointSliceSync = cilium.ParseVersion(versions[r.IntN(4)]), r.IntN(2) == 0
			if r.IntN(8) == 0 {
				c.Peers = c.Peers[:1]
			}
			if r.IntN(8) == 0 {
				c.Namespaces = map[string]map[string]string{"default": {cilium.AnnotationNamespaceGlobal: "false"}}
			}
			if r.IntN(20) == 0 {
				*c = Cluster{Name: c.Name, Gap: "timeout"}
			}
		}
		matcher := NewMatcher(snap, key)
		for i := range snap.Clusters {
			c := &snap.Clusters[i]
			if c.Services[key] == nil {
				continue
			}
			for _, fe := range c.Services[key].Frontends() {
				var want []Reason
				if d := Decide(snap, c.Name, key, fe); len(d.Outcomes) > 0 {
					for _, r := range d.Outcomes[0].Reasons {
						if r.Cluster != c.Name && (r.Code == ReasonPort || r.Code == ReasonProtocol || r.Code == ReasonFamily) {
							want = append(want, r)
							found[r.Code]++
						}
					}
				}
				if d := cmp.Diff(want, matcher.Mismatches(c, fe)); d != "" {
					t.Fatalf("seed %d, clients in %s, %+v: %s", seed, c.Name, fe, d)
				}
			}
		}
	}
	for _, code := range []Code{ReasonPort, ReasonProtocol, ReasonFamily} {
		if found[code] < 100 {
			t.Errorf("only %d cases of %s", found[code], code)
		}
	}
}
