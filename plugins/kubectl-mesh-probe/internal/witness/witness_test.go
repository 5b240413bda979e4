package witness

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions/permissionstest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

var update = flag.Bool("update", false, "write the generated files")

// TestDocumentedAccess keeps the table in docs/rbac.md equal to the one that rbac --witness prints.
func TestDocumentedAccess(t *testing.T) {
	t.Parallel()
	permissionstest.Documented(t, filepath.Join("..", "..", "..", "..", "docs", "rbac.md"), "kubectl-mesh-probe/internal/witness", AccessTable(), *update)
}

func addrs(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

const table = `{
  "172.20.1.5:80/TCP (0)": ["0.0.0.0:0 (3) (0) [ClusterIP, non-routable] "],
  "172.20.1.5:80/TCP (1)": ["10.1.0.2:8080/TCP (3) (1)"],
  "172.20.1.5:80/TCP (2)": ["10.2.0.9:8080/TCP (3) (2)"],
  "172.20.1.5:80/TCP (3)": ["10.2.0.10:8080/TCP (3) (3)"],
  "172.20.1.9:80/TCP (1)": ["backend 7 not found"],
  "172.20.1.6:53/UDP (0)": ["0.0.0.0:0 (4) (0) [ClusterIP, non-routable] "],
  "172.20.1.7:80/TCP/i (0)": ["0.0.0.0:0 (5) (0) [ClusterIP, InternalLocal, two-scopes, non-routable] "],
  "172.20.1.7:80/TCP/i (1)": ["10.1.0.3:80/TCP (5) (1)"],
  "172.20.1.7:80/TCP (1)": ["10.1.0.4:80/TCP (6) (1)"],
  "[fd00::5]:80/TCP (0)": ["[::]:0 (7) (0) [ClusterIP, non-routable] "],
  "[fd00::5]:80/TCP (1)": ["[fd00:1::2]:8080/TCP (7) (1)"]
}`

// counts has a frontend with a backend that is terminating: 172.20.1.5:80 has three slots and uses two.
const counts = `{
  "172.20.1.5:80/TCP (0)": ["0 2[1] (3) [0x0 0x0]"],
  "172.20.1.5:80/TCP (1)": ["9 0[0] (3) [0x0 0x0]"],
  "172.20.1.5:80/TCP (2)": ["11 0[0] (3) [0x0 0x0]"],
  "172.20.1.5:80/TCP (3)": ["12 0[0] (3) [0x0 0x0]"],
  "172.20.1.6:53/UDP (0)": ["0 0[0] (4) [0x0 0x0]"],
  "172.20.1.7:80/TCP/i (0)": ["10800 1[0] (5) [0x0 0x0]"]
}`

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(table), []byte(counts))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr, protocol string
		want           []netip.AddrPort
		found          bool
	}{
		{"172.20.1.5:80", "TCP", addrs("10.1.0.2:8080", "10.2.0.9:8080"), true},
		{"172.20.1.5:81", "TCP", nil, false},
		{"172.20.1.9:80", "TCP", nil, true},
		{"172.20.1.5:80", "UDP", nil, false},
		{"172.20.1.6:53", "UDP", nil, true},
		{"172.20.1.7:80", "TCP", addrs("10.1.0.3:80"), true},
		{"[fd00::5]:80", "TCP", addrs("[fd00:1::2]:8080"), true},
		{"[::ffff:172.20.1.5]:80", "TCP", addrs("10.1.0.2:8080", "10.2.0.9:8080"), true},
	} {
		have, found := got.Backends(netip.MustParseAddrPort(c.addr), c.protocol)
		if found != c.found || !slices.Equal(have, c.want) {
			t.Errorf("%s/%s: %v, %v", c.addr, c.protocol, have, found)
		}
	}
	for _, bad := range []string{"", "null", "[]", "{", `{"a": ["b"]}`, `{"1.2.3.4:80/TCP (1)": ["backend 7"]}`, `{"1.2.3.4:80/TCP (x)": []}`, `{"1.2.3.4:80/TCP/i/x (1)": []}`, `{"1.2.3.4/TCP (1)": []}`} {
		if got, err := Parse([]byte(bad), []byte(`{}`)); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
	for _, bad := range []string{"", "null", `{"a": ["b"]}`, `{"1.2.3.4:80/TCP (0)": ["0.0.0.0:0 (3) (0)"]}`, `{"1.2.3.4:80/TCP (0)": ["0 99999999999999999999[0] (3)"]}`} {
		if got, err := Parse([]byte(table), []byte(bad)); err == nil {
			t.Errorf("counts %q: %v", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(table), []byte(counts))
	f.Add([]byte(`{"1.2.3.4:80/TCP (1)": ["1.2.3.4:80 (1) (1)"]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, raw, counts []byte) {
		got, err := Parse(raw, counts)
		if err != nil {
			return
		}
		var slots map[string][]string
		if json.Unmarshal(raw, &slots) != nil {
			t.Fatal("read although it is not JSON")
		}
		backends := 0
		for fe, b := range got {
			backends += len(b)
			if !fe.Addr.IsValid() || !slices.IsSortedFunc(b, compareAddrs) {
				t.Errorf("%v: %v", fe, b)
			}
		}
		entries := 0
		for _, e := range slots {
			entries += len(e)
		}
		if backends > entries {
			t.Errorf("%d backends in %d entries", backends, entries)
		}
	})
}

var web = routing.Key{Namespace: "shop", Name: "web"}

// state is a mesh in which us and eu have endpoints of Service shop/web at 10.N.0.x.
func state(us, eu int) *routing.Snapshot {
	snap := &routing.Snapshot{}
	for i, n := range []int{us, eu} {
		svc := &routing.Service{Key: web, Type: "ClusterIP", ClusterIPs: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("172.20.%d.5", i+1))}, Annotations: map[string]string{cilium.AnnotationGlobal: "true"}, Ports: []routing.Port{{Protocol: "TCP", Port: 80}}}
		for e := range n {
			svc.Endpoints = append(svc.Endpoints, routing.Endpoint{Addr: netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", i+1, e+1)), Ready: true, Serving: true, Ports: []routing.Port{{Protocol: "TCP", Port: 8080}}})
		}
		snap.Clusters = append(snap.Clusters, routing.Cluster{Name: []string{"us", "eu"}[i], Version: cilium.ParseVersion("1.20.2"), DefaultGlobalNamespace: true, PeersKnown: true, Peers: []string{"us", "eu"}, Services: map[routing.Key]*routing.Service{web: svc}})
	}
	return snap
}

func TestCompare(t *testing.T) {
	t.Parallel()
	has := func(list ...string) Table {
		return Table{{Addr: netip.MustParseAddrPort("172.20.1.5:80"), Protocol: "TCP"}: addrs(list...)}
	}
	for name, c := range map[string]struct {
		table          Table
		snap           *routing.Snapshot
		agrees, absent bool
		missing, extra int
		unknown        int
		us, eu         float64
	}{
		"as predicted":              {has("10.1.0.1:8080", "10.2.0.1:8080", "10.2.0.2:8080"), state(1, 2), true, false, 0, 0, 0, 1. / 3, 2. / 3},
		"none, as predicted":        {has(), state(0, 0), true, false, 0, 0, 0, 0, 0},
		"it misses those of eu":     {has("10.1.0.1:8080"), state(1, 2), false, false, 2, 0, 0, 1, 0},
		"it keeps one that is gone": {has("10.1.0.1:8080", "10.2.0.1:8080", "10.2.0.7:8080"), state(1, 1), false, false, 0, 1, 1, 0, 0},
		"another port":              {has("10.1.0.1:80"), state(1, 0), false, false, 1, 1, 1, 0, 0},
		"it has no such frontend":   {Table{}, state(1, 1), false, true, 2, 0, 0, 0, 0},
	} {
		a := Compare(c.table, c.snap, "us", web, 80)
		if a.Agrees() != c.agrees || a.Absent != c.absent || len(a.Missing) != c.missing || len(a.Extra) != c.extra || a.Unknown != c.unknown {
			t.Errorf("%s: %+v", name, a)
		}
		if a.Shares["us"] != c.us || a.Shares["eu"] != c.eu {
			t.Errorf("%s: shares %v", name, a.Shares)
		}
	}
	gap := state(1, 1)
	gap.Clusters[1].Gap = "timeout"
	if a := Compare(has("10.1.0.1:8080"), gap, "us", web, 80); a.Agrees() || a.Why == "" {
		t.Errorf("a cluster that was not read agrees: %+v", a)
	}
	if a := Compare(has(), state(1, 1), "us", web, 81); a.Agrees() || a.Why == "" {
		t.Errorf("no such port: %+v", a)
	}
}
