package routing

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// bytes makes a snapshot of whatever bytes the fuzzer finds; when they are used up the rest is zero.
type bytes []byte

func (b *bytes) next(n int) int {
	if len(*b) == 0 {
		return 0
	}
	v := int((*b)[0])
	*b = (*b)[1:]
	return v % n
}

func one[T any](b *bytes, list ...T) T { return list[b.next(len(list))] }

func (b *bytes) snapshot() *Snapshot {
	snap := &Snapshot{}
	for i, name := range []string{"us", "eu", "ap"}[:1+b.next(3)] {
		c := Cluster{
			Name:                   name,
			Version:                cilium.ParseVersion(one(b, "1.20.2", "1.19.6", "1.19.5", "1.19.3", "1.18.9", "1.16.19", "")),
			Gap:                    one(b, "", "", "", "timeout"),
			PeersKnown:             one(b, false, true),
			Peers:                  one(b, nil, []string{"us", "eu", "ap"}, []string{"eu", "elsewhere"}),
			DefaultGlobalNamespace: one(b, true, false),
			EndpointSliceSync:      one(b, true, false),
			Namespaces:             map[string]map[string]string{"default": one(b, nil, map[string]string{cilium.AnnotationNamespaceGlobal: "false"})},
			Services:               map[Key]*Service{},
		}
		if c.Gap == "" && b.next(8) != 7 {
			c.Services[key] = b.service(i + 1)
		}
		snap.Clusters = append(snap.Clusters, c)
	}
	return snap
}

func (b *bytes) service(cluster int) *Service {
	s := &Service{
		Key: key, Type: one(b, "ClusterIP", "ClusterIP", "LoadBalancer", "ExternalName"), Headless: b.next(6) == 5,
		Annotations: map[string]string{}, Labels: map[string]string{}, InternalLocal: one(b, false, true), SessionAffinity: one(b, false, true),
		ClusterIPs: []netip.Addr{netip.MustParseAddr(one(b, "172.20.0.1", "fd20::1"))},
	}
	for _, k := range []string{cilium.AnnotationGlobal, cilium.AnnotationShared, cilium.AnnotationAffinity, cilium.AnnotationSyncEndpointSlices} {
		if v := one(b, "true", "-", "local", "remote", "none", "junk", "", "FALSE"); v != "-" {
			s.Annotations[k] = v
		}
	}
	if b.next(8) == 7 {
		s.Labels[one(b, cilium.LabelHeadless, cilium.LabelServiceProxyName)] = ""
	}
	port := func() Port {
		return Port{Name: one(b, "http", "metrics", ""), Protocol: one(b, "TCP", "UDP"), Port: one[int32](b, 8080, 9090)}
	}
	s.Ports = []Port{port()}
	for n := range b.next(5) {
		e := Endpoint{
			Addr:  netip.AddrFrom4([4]byte{10, byte(cluster), 0, byte(n)}),
			Ready: one(b, true, false), Serving: one(b, true, false), Terminating: one(b, false, true), Weighted: one(b, false, false, true), ServingUnset: one(b, false, false, true),
		}
		if b.next(4) == 3 {
			e.Addr = netip.AddrFrom16([16]byte{0xfd, 14: byte(cluster), 15: byte(n)})
		}
		for range b.next(3) {
			e.Ports = append(e.Ports, port())
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

// FuzzDecide holds what must be true of every decision, whatever was read.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{2})
	f.Add([]byte("three clusters of one Service, and some more bytes for annotations, ports and endpoints"))
	f.Add([]byte{2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := bytes(data)
		snap := b.snapshot()
		fe := Frontend{Port: Port{Name: one(&b, "http", "metrics", ""), Protocol: one(&b, "TCP", "UDP"), Port: 80}, IPv6: one(&b, false, true)}
		for _, c := range snap.Clusters {
			d := Decide(snap, c.Name, key, fe)
			if diff := cmp.Diff(d, Decide(snap, c.Name, key, fe), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Fatalf("asked twice, answered differently: %s", diff)
			}
			if c.Gap != "" && (d.Kind != KindUnread || len(d.Outcomes) > 0) {
				t.Fatalf("%s was not read, and yet: %+v", c.Name, d)
			}
			for _, o := range d.Outcomes {
				holds(t, snap, o)
			}
			for _, m := range snap.Clusters {
				for _, o := range Decide(snap.WithoutEndpoints(m.Name, key), c.Name, key, fe).Outcomes {
					holds(t, snap, o)
					if s := shareOf(snap, o, m.Name); s.Backends != 0 {
						t.Fatalf("%s lost its endpoints and still has %d of the backends of %s", m.Name, s.Backends, c.Name)
					}
				}
			}
		}
	})
}

// holds checks one outcome.
func holds(t *testing.T, snap *Snapshot, o Outcome) {
	t.Helper()
	if len(o.Shares) != len(snap.Clusters) || len(o.Reasons) != len(snap.Clusters) {
		t.Fatalf("%d shares and %d reasons for %d clusters", len(o.Shares), len(o.Reasons), len(snap.Clusters))
	}
	sum, fractions := 0, 0.0
	for i, s := range o.Shares {
		c := snap.Clusters[i]
		if s.Cluster != c.Name || o.Reasons[i].Cluster != c.Name {
			t.Fatalf("share %d is of %s, its reason of %s, the cluster is %s", i, s.Cluster, o.Reasons[i].Cluster, c.Name)
		}
		if c.Gap != "" && s.Backends != 0 {
			t.Fatalf("%s was not read and has %d backends", c.Name, s.Backends)
		}
		if s.Total != len(o.Backends) || s.Backends < 0 {
			t.Fatalf("share %+v of %d backends", s, len(o.Backends))
		}
		if o.Reasons[i].Used != (s.Backends > 0) || o.Reasons[i].String() == "" {
			t.Fatalf("%s has %d backends, reason %+v", c.Name, s.Backends, o.Reasons[i])
		}
		sum += s.Backends
		fractions += s.Fraction()
	}
	if sum != len(o.Backends) {
		t.Fatalf("shares of %d backends, %d are there", sum, len(o.Backends))
	}
	if sum > 0 && (fractions < 1-1e-9 || fractions > 1+1e-9) {
		t.Fatalf("shares sum to %v", fractions)
	}
	seen := map[Backend]bool{}
	for _, b := range o.Backends {
		if seen[b] {
			t.Fatalf("backend %v twice", b)
		}
		seen[b] = true
	}
}

func shareOf(snap *Snapshot, o Outcome, cluster string) Share {
	for i := range snap.Clusters {
		if snap.Clusters[i].Name == cluster {
			return o.Shares[i]
		}
	}
	return Share{}
}
