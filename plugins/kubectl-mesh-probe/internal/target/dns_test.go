package target

import (
	"strings"
	"testing"
)

const resolvConf = "# made by the kubelet\nsearch shop.svc.corp.example svc.corp.example corp.example office.example\nnameserver 10.0.0.10\noptions ndots:5 edns0\n"

func TestField04NamesOfOtherZones(t *testing.T) {
	t.Parallel()
	own, corp := ClusterFirst("shop"), ParseResolvConf(resolvConf)
	node := ParseResolvConf("search office.example\nnameserver 10.9.9.9\n")
	eager := ParseResolvConf("search shop.svc.cluster.local svc.cluster.local cluster.local svc.clusterset.local\noptions ndots:1\n")
	for _, tc := range []struct {
		r    Resolver
		host string
		want string // NAMESPACE/NAME, with "import " before a ServiceImport
		why  string
	}{
		{own, "catalog", "shop/catalog", ""},
		{own, "CATALOG.Shop", "shop/catalog", ""},
		{own, "catalog.other", "other/catalog", ""},
		{own, "catalog.other.svc", "other/catalog", ""},
		{own, "catalog.shop.svc.cluster.local", "shop/catalog", ""},
		{own, "catalog.shop.svc.cluster.local.", "shop/catalog", ""},
		{own, "catalog.shop.svc.clusterset.local", "import shop/catalog", ""},
		{own, "catalog.shop.svc.clusterset.local.", "import shop/catalog", ""},
		{own, "catalog.shop.svc.example.internal", "", "in DNS zone example.internal, but the client pod is in DNS zone cluster.local"},
		{own, "catalog.shop.svc.cluster.local.example", "", "in DNS zone cluster.local.example"},
		{own, "catalog.shop.svc.corp.example", "", "in DNS zone corp.example"},
		{own, "catalog.shop.svc.", "", "is not a Service of the mesh"},
		{own, "catalog.", "", "is not a Service of the mesh"},
		{own, "www.example.com", "", "is not a Service of the mesh"},
		{own, "web-0.catalog.shop.svc.cluster.local", "", "is not a Service of the mesh"},
		{own, "_http.shop.svc.cluster.local", "", "is not a Service of the mesh"},
		{own, "172.20.1.5", "", "is an address"},
		{own, "fd00::1", "", "is an address"},
		{corp, "catalog", "shop/catalog", ""},
		{corp, "catalog.other.svc", "other/catalog", ""},
		{corp, "catalog.shop.svc.corp.example", "shop/catalog", ""},
		{corp, "catalog.shop.svc.cluster.local", "", "in DNS zone cluster.local, but the client pod is in DNS zone corp.example"},
		{corp, "catalog.shop.svc.clusterset.local", "import shop/catalog", ""},
		{node, "catalog", "", "does not lead to Services"},
		{node, "catalog.shop.svc.cluster.local", "", "does not contain its own zone"},
		{node, "catalog.shop.svc.clusterset.local", "import shop/catalog", ""},
		{eager, "catalog.shop", "shop/catalog", ""},
		{eager, "catalog", "shop/catalog", ""},
	} {
		m := tc.r.Meaning(tc.host)
		got := strings.TrimPrefix(m.Service.String(), "/")
		if m.Import {
			got = "import " + got
		}
		if got != tc.want || !strings.Contains(m.Why, tc.why) || (m.Why == "") != (tc.why == "") {
			t.Errorf("%s in %v: %q %q, want %q %q", tc.host, tc.r.Search, got, m.Why, tc.want, tc.why)
		}
	}
}

func TestField04ResolvConf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		resolvConf:                             "corp.example",
		"search svc.a.example\n":               "a.example",
		"search x.svc.b.example.":              "b.example",
		"search X.SVC.Cluster.Local\n":         "cluster.local",
		"search one.svc.a\nsearch two.svc.b\n": "b",
		"domain example\nnameserver 1.1.1.1":   "",
		"":                                     "",
		"nameserver 1.1.1.1\noptions ndots:x\nsearch\n; search a": "",
	} {
		if got := ParseResolvConf(text).Zone(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for host, want := range map[string]bool{"nginx": false, "nginx.shop.svc": false, "nginx.shop.svc.x": true, "NGINX.shop.SVC.cluster.local.": true, "a.b.c.d": false} {
		if got := SpellsZone(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}
