package target

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

func TestURL(t *testing.T) {
	t.Parallel()
	port := func(name string, n int32) routing.Port { return routing.Port{Name: name, Protocol: "TCP", Port: n} }
	for name, tc := range map[string]struct {
		ports  []routing.Port
		target string
		want   string
		err    string
	}{
		"the only port": {[]routing.Port{port("", 8080)}, "nginx", "http://nginx:8080/", ""},
		"port 80":       {[]routing.Port{port("a", 80), port("b", 443)}, "nginx", "http://nginx/", ""},
		"called http":   {[]routing.Port{port("http", 8080), port("metrics", 9090)}, "svc/nginx", "http://nginx:8080/", ""},
		"by number":     {[]routing.Port{port("a", 1), port("b", 2)}, "nginx:3", "http://nginx:3/", ""},
		"by name":       {[]routing.Port{port("a", 1), port("b", 2)}, "nginx.shop:b", "http://nginx.shop:2/", ""},
		"several":       {[]routing.Port{port("a", 1), port("b", 2)}, "nginx", "", "several TCP ports; choose one as nginx:PORT (a:1, b:2)"},
		"no such name":  {[]routing.Port{port("a", 1)}, "nginx:b", "", `no TCP port named "b"; it has a:1`},
		"UDP only":      {[]routing.Port{{Name: "dns", Protocol: "UDP", Port: 53}}, "nginx", "", "has no TCP port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host, _, err := SplitService(tc.target)
			if err != nil {
				t.Fatal(err)
			}
			key := ClusterFirst("default").Meaning(host).Service
			snap := &routing.Snapshot{Clusters: []routing.Cluster{{Name: "us", Services: map[routing.Key]*routing.Service{key: {Key: key, Ports: tc.ports}}}}}
			got, err := URL(snap, []string{"us"}, key, "http", tc.target)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || got.String() != tc.want {
				t.Errorf("%s, %v, want %s", got, err, tc.want)
			}
		})
	}
	for typed, want := range map[string]string{"db": "", "db:http": "tcp://db:80", "db.shop:5432": "tcp://db.shop:5432"} {
		key := routing.Key{Namespace: "default", Name: "db"}
		snap := &routing.Snapshot{Clusters: []routing.Cluster{{Name: "us", Services: map[routing.Key]*routing.Service{key: {Key: key, Ports: []routing.Port{port("http", 80), port("pg", 5432)}}}}}}
		got, err := URL(snap, []string{"us"}, key, "tcp", typed)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("tcp %s: %s %v, want %q", typed, got, err, want)
		}
	}
	if _, err := URL(&routing.Snapshot{}, []string{"us"}, routing.Key{Namespace: "default", Name: "nginx"}, "http", "nginx"); err == nil {
		t.Error("no such Service: no error")
	}
}

func TestByAddress(t *testing.T) {
	t.Parallel()
	key := routing.Key{Namespace: "default", Name: "nginx"}
	snap := &routing.Snapshot{Clusters: []routing.Cluster{{Name: "us", Services: map[routing.Key]*routing.Service{key: {ClusterIPs: []netip.Addr{netip.MustParseAddr("172.20.1.5")}}}}}}
	if got, ok := ByAddress(snap, "us", "172.20.1.5"); !ok || got != key {
		t.Errorf("%v %v", got, ok)
	}
	for _, host := range []string{"172.20.1.6", "nginx", ""} {
		if _, ok := ByAddress(snap, "us", host); ok {
			t.Errorf("%q: found", host)
		}
	}
}
