package routing

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// proxied is a Service as Cilium makes it for a Gateway: no selector and the placeholder.
func proxied(cluster int, ann string) *Service {
	s := service(cluster, 0, ann)
	s.Selector = false
	s.Endpoints = []Endpoint{{Addr: netip.MustParseAddr("192.192.192.192"), Ports: []Port{{Protocol: "TCP", Port: 9999}}, Ready: true, Serving: true}}
	return s
}

// TestField05PlaceholderHasNoShare: the L7 proxy of the client's own cluster answers; the placeholder is nobody's endpoint.
func TestField05PlaceholderHasNoShare(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.20.2", "1.18.11", "1.17.17", "1.16.19"} {
		// In all clusters: no share, no conflict of addresses, no failover.
		snap := mesh(version, proxied(1, "global"), proxied(2, "global"), proxied(3, "global,affinity=local"))
		for _, c := range []string{"us", "eu", "ap"} {
			for _, fe := range []Frontend{http, {Port: http.Port, IPv6: true}} {
				d := Decide(snap, c, key, fe)
				if string(d.Kind) != "proxy" || len(d.Outcomes) > 0 || d.Incomplete || strings.Contains(strings.Join(d.Caveats, "\n"), "same addresses") {
					t.Errorf("%s, clients in %s: %+v", version, c, d)
				}
			}
		}
		// In one cluster only: the others do not count on it.
		snap = mesh(version, proxied(1, "global"), service(2, 2, "global"), service(3, 0, "global"))
		d := Decide(snap, "us", key, http)
		if string(d.Kind) != "proxy" {
			t.Errorf("%s: %+v", version, d)
		}
		for _, c := range []string{"eu", "ap"} {
			d := Decide(snap, c, key, http)
			if len(d.Outcomes) != 1 || shares(d.Outcomes[0]) != "eu=2" {
				t.Errorf("%s: %+v", version, d.Outcomes)
				continue
			}
			if r := d.Outcomes[0].Reasons[0]; r.Used || string(r.Code) != "placeholder" {
				t.Errorf("%s, clients in %s: %+v", version, c, r)
			}
		}
		if s := snap.Clusters[0].Services[key]; s.ReadyEndpoints() != 0 {
			t.Errorf("the placeholder counts as a ready endpoint")
		}
	}
}

// TestField05PlaceholderIsExported: that nobody answers there does not keep Cilium from exporting it, so the shares of those who
// would import it are not certain.
func TestField05PlaceholderIsExported(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version    string
		us, eu     *Service
		incomplete bool
	}{
		"imported":             {"1.20.2", proxied(1, "global"), service(2, 2, "global"), true},
		"not shared":           {"1.20.2", proxied(1, "global,shared=false"), service(2, 2, "global"), false},
		"not global there":     {"1.20.2", proxied(1, ""), service(2, 2, "global"), false},
		"not global here":      {"1.20.2", proxied(1, "global"), service(2, 2, ""), false},
		"kept at home":         {"1.20.2", proxied(1, "global"), service(2, 2, "global,affinity=local"), false},
		"sent away":            {"1.20.2", proxied(1, "global"), service(2, 2, "global,affinity=remote"), true},
		"the name never meets": {"1.17.17", proxied(1, "global"), service(2, 2, "global"), false}, // strict names: the placeholder has none
	} {
		snap := mesh(c.version, c.us, c.eu)
		d := Decide(snap, "eu", key, http)
		if d.Incomplete != c.incomplete || shares(d.Outcomes[0]) != "eu=2" {
			t.Errorf("%s: incomplete %v (%s), %s", name, d.Incomplete, d.Doubt, shares(d.Outcomes[0]))
		}
	}
	// What is exported is all that the exporter of Cilium writes.
	snap := mesh("1.20.2", proxied(1, "global"), nil)
	if got, r := snap.Clusters[0].Offers(key); len(got) != 1 || r.Code != ReasonUsed {
		t.Errorf("%v, %v", got, r)
	}
}

// TestField05RealAddressIsOrdinary: a Service without a selector that somebody gave an address is as before, and so are the
// placeholder's address with another port and a Service that has real endpoints beside it.
func TestField05RealAddressIsOrdinary(t *testing.T) {
	t.Parallel()
	ordinary := func(cluster int) *Service {
		s := service(cluster, 1, "global")
		s.Selector = false
		return s
	}
	snap := mesh("1.18.11", ordinary(1), ordinary(2))
	if d := cmp.Diff(map[string]string{"us": "us=1 eu=1", "eu": "us=1 eu=1"}, decideAll(t, snap, http)); d != "" {
		t.Error(d)
	}
	other := proxied(1, "global")
	other.Endpoints[0].Ports[0].Port = 80
	if d := Decide(mesh("1.18.11", other, service(2, 1, "global")), "us", key, http); shares(d.Outcomes[0]) != "us=1 eu=1" {
		t.Errorf("another port: %+v", d)
	}
	both := service(1, 1, "global")
	both.Endpoints = append(both.Endpoints, proxied(1, "").Endpoints...)
	d := Decide(mesh("1.18.11", both, service(2, 1, "global")), "us", key, http)
	if d.Kind != KindBalanced || shares(d.Outcomes[0]) != "us=1 eu=1" || !d.Incomplete {
		t.Errorf("beside a real endpoint: %+v", d)
	}
}

// TestField05PlaceholderFromObjects: as Cilium's operator writes it, as the chart does, and as Kubernetes mirrors Endpoints of older versions.
func TestField05PlaceholderFromObjects(t *testing.T) {
	t.Parallel()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, ClusterIPs: []string{"172.20.1.1", "fd00::1"}}}
	slice := func(name string, conditions discoveryv1.EndpointConditions, port discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "nginx"}},
			Ports: []discoveryv1.EndpointPort{port}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.192.192.192"}, Conditions: conditions}}}
	}
	ready := discoveryv1.EndpointConditions{Ready: ptr.To(true)}
	for name, slices := range map[string][]*discoveryv1.EndpointSlice{
		"operator": {slice("a", ready, discoveryv1.EndpointPort{Port: ptr.To[int32](9999)})},
		"1.19":     {slice("a", discoveryv1.EndpointConditions{}, discoveryv1.EndpointPort{Port: ptr.To[int32](9999)})},
		"mirrored": {slice("a", ready, discoveryv1.EndpointPort{Name: ptr.To(""), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To[int32](9999)})},
		"twice":    {slice("a", ready, discoveryv1.EndpointPort{Port: ptr.To[int32](9999)}), slice("b", ready, discoveryv1.EndpointPort{Name: ptr.To("x"), Port: ptr.To[int32](9999)})},
	} {
		if s := FromService(svc, slices); !s.Proxied() || s.ReadyEndpoints() != 0 || s.TotalEndpoints() != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if FromService(svc, nil).Proxied() {
		t.Error("without endpoints")
	}
}

// TestField05L7Annotation: load balancing by Envoy is a caveat, as shares are then those of requests.
func TestField05L7Annotation(t *testing.T) {
	t.Parallel()
	s := service(1, 1, "global")
	s.Annotations[cilium.AnnotationL7] = "enabled"
	d := Decide(mesh("1.20.2", s, service(2, 1, "global")), "us", key, http)
	if shares(d.Outcomes[0]) != "us=1 eu=1" || d.Incomplete || !strings.Contains(strings.Join(d.Caveats, "\n"), cilium.AnnotationL7) {
		t.Errorf("%+v", d)
	}
}
