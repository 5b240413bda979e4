package exempt

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

func TestAlways(t *testing.T) {
	t.Parallel()
	imported := map[string]string{cilium.LabelImportedService: "web"}
	for name, c := range map[string]struct {
		namespace, name string
		labels          map[string]string
		want            bool
	}{
		"unglobalize the API server":   {"default", "kubernetes", nil, false},
		"unglobalize a derived one":    {"shop", "derived-isrlchlhrq", imported, true},
		"the API server":               {"default", "kubernetes", nil, true},
		"another Service of that name": {"shop", "kubernetes", nil, false},
		"derived":                      {"shop", "derived-isrlchlhrq", imported, true},
		"somebody's own":               {"shop", "derived-production", nil, false},
		"only the label":               {"shop", "web", imported, false},
		"ordinary":                     {"default", "nginx", nil, false},
		"--include-system":             {"kube-system", "kubedns", nil, false},
	} {
		action := "globalize"
		if strings.HasPrefix(name, Unglobalize) {
			action = Unglobalize
		}
		if got := Always(action, routing.Key{Namespace: c.namespace, Name: c.name}, c.labels); (got != "") != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestUnlessIncluded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		namespace, serviceType string
		labels                 map[string]string
		proxyName              string
		want                   string
	}{
		"ordinary":                {"shop", "ClusterIP", nil, "", ""},
		"kube-system":             {"kube-system", "ClusterIP", nil, "", "it is in kube-system"},
		"Cilium's namespace":      {"cilium", "ClusterIP", nil, "", "it is in Cilium's namespace"},
		"ExternalName":            {"shop", "ExternalName", nil, "", "it is an ExternalName Service and has no endpoints"},
		"another proxy":           {"shop", "ClusterIP", map[string]string{cilium.LabelServiceProxyName: "x"}, "cilium", "its label service.kubernetes.io/service-proxy-name makes Cilium ignore it"},
		"Cilium by its own name":  {"shop", "ClusterIP", map[string]string{cilium.LabelServiceProxyName: "cilium"}, "cilium", ""},
		"an agent with some name": {"shop", "ClusterIP", nil, "cilium", ""}, // the exporter has no such option and takes it
	} {
		if got := UnlessIncluded(c.namespace, c.serviceType, c.labels, "cilium", c.proxyName); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestProxiedIn(t *testing.T) {
	t.Parallel()
	key := routing.Key{Namespace: "shop", Name: "gateway"}
	placeholder := []routing.Endpoint{{Addr: netip.MustParseAddr("192.192.192.192"), Ports: []routing.Port{{Port: 9999}}}}
	of := func(serviceType string, endpoints []routing.Endpoint) *routing.Snapshot {
		svc := &routing.Service{Key: key, Type: serviceType, Endpoints: endpoints}
		return &routing.Snapshot{Clusters: []routing.Cluster{{Name: "us", Services: map[routing.Key]*routing.Service{key: svc}}}}
	}
	for name, c := range map[string]struct {
		snap    *routing.Snapshot
		cluster string
		want    bool
	}{
		"the placeholder":            {of("LoadBalancer", placeholder), "us", true},
		"a DNS alias":                {of("ExternalName", placeholder), "us", false},
		"endpoints of its own":       {of("LoadBalancer", nil), "us", false},
		"a cluster without it":       {&routing.Snapshot{Clusters: []routing.Cluster{{Name: "us"}}}, "us", false},
		"a cluster that is not read": {of("LoadBalancer", placeholder), "eu", false},
	} {
		if got := ProxiedIn(c.snap, c.cluster, key); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
