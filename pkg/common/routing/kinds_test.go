package routing

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	external, ignored, headless := service(1, 1, "global"), service(1, 1, "global"), service(1, 1, "global")
	external.Type = "ExternalName"
	ignored.Labels = map[string]string{cilium.LabelServiceProxyName: ""}
	headless.Headless, headless.ClusterIPs = true, nil
	labelled := service(1, 1, "global")
	labelled.Labels = map[string]string{cilium.LabelHeadless: "false"}
	for name, c := range map[string]struct {
		svc  *Service
		kind Kind
	}{"external": {external, KindExternalName}, "ignored": {ignored, KindIgnored}, "labelled as headless": {labelled, KindIgnored}, "headless": {headless, KindHeadless}, "missing": {nil, KindMissing}} {
		snap := mesh("1.20.2", c.svc, service(2, 1, "global"))
		if d := Decide(snap, "us", key, http); d.Kind != c.kind {
			t.Errorf("%s: got %s", name, d.Kind)
		}
	}
	snap := mesh("1.20.2", headless, service(2, 1, "global"))
	if got := shares(Decide(snap, "us", key, http).Outcomes[0]); got != "us=1" {
		t.Errorf("headless without mirroring: got %q", got)
	}
	snap.Clusters[0].EndpointSliceSync = true
	if got := shares(Decide(snap, "us", key, http).Outcomes[0]); got != "us=1 eu=1" {
		t.Errorf("headless with mirroring: got %q", got)
	}
	if d := Decide(snap, "nowhere", key, http); d.Kind != KindUnread || !d.Incomplete {
		t.Errorf("unknown cluster: %+v", d)
	}
}

// TestSliceWeight: from 1.20 weight 0 takes the client's own endpoints out and leaves what is offered to others.
func TestSliceWeight(t *testing.T) {
	t.Parallel()
	weigh := func(s *Service, n int, weight uint16) *Service {
		for i := range n {
			s.Endpoints[i].Weight, s.Endpoints[i].Weighted = weight, true
		}
		return s
	}
	headless := weigh(service(1, 2, "global"), 2, 0)
	headless.Headless, headless.ClusterIPs = true, nil
	cases := map[string]struct {
		version string
		us      *Service
		us2, eu string // who answers the clients in us and in eu
		reason  string // of us, for clients in us
		caveat  bool
	}{
		"1.20":                    {"1.20.2", weigh(service(1, 2, "global"), 2, 0), "eu=1", "us=2 eu=1", "not used, its EndpointSlices have weight 0", false},
		"1.19":                    {"1.19.7", weigh(service(1, 2, "global"), 2, 0), "us=2 eu=1", "us=2 eu=1", "used", false},
		"one of two":              {"1.20.2", weigh(service(1, 2, "global"), 1, 0), "us=1 eu=1", "us=2 eu=1", "used", false},
		"affinity local":          {"1.20.2", weigh(service(1, 2, "global,affinity=local"), 2, 0), "eu=1", "us=2 eu=1", "weight 0", false},
		"another weight":          {"1.20.2", weigh(service(1, 2, "global"), 2, 7), "us=2 eu=1", "us=2 eu=1", "used", true},
		"another weight on 1.18":  {"1.18.11", weigh(service(1, 2, "global"), 2, 7), "us=2 eu=1", "us=2 eu=1", "used", false},
		"DNS knows of no weights": {"1.20.2", headless, "headless", "us=2 eu=1", "used", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snap := mesh(c.version, c.us, service(2, 1, "global"))
			if d := cmp.Diff(map[string]string{"us": c.us2, "eu": c.eu}, decideAll(t, snap, http)); d != "" {
				t.Error(d)
			}
			d := Decide(snap, "us", key, http)
			if got := d.Outcomes[0].Reasons[0].String(); !strings.Contains(got, c.reason) {
				t.Errorf("reason %q, want %q", got, c.reason)
			}
			if got := strings.Contains(strings.Join(d.Caveats, "\n"), "maglev"); got != c.caveat {
				t.Errorf("caveats %q", d.Caveats)
			}
		})
	}
	unknown := Decide(mesh("", weigh(service(1, 2, "global"), 2, 0), service(2, 1, "global")), "us", key, http)
	if len(unknown.Outcomes) != 2 {
		t.Errorf("unknown version: %+v", unknown.Outcomes)
	}
}

// TestServiceProxyName: with the option the agents serve only what has the label; the exporter goes by no label.
func TestServiceProxyName(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		option, label string // of eu; "-" for no label
		us, eu        string // who answers the clients there
		open          bool
	}{
		"neither":              {"", "-", "us=1 eu=1", "us=1 eu=1", false},
		"label":                {"", "other", "us=1", "ignored", false},
		"option":               {"cilium", "-", "us=1 eu=1", "ignored", true},
		"option and its label": {"cilium", "cilium", "us=1", "us=1 eu=1", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snap := mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"))
			snap.Clusters[1].ServiceProxyName = c.option
			if c.label != "-" {
				snap.Clusters[1].Services[key].Labels = map[string]string{cilium.LabelServiceProxyName: c.label}
			}
			if d := cmp.Diff(map[string]string{"us": c.us, "eu": c.eu}, decideAll(t, snap, http)); d != "" {
				t.Error(d)
			}
			if d := Decide(snap, "us", key, http); certain(d) == c.open {
				t.Errorf("certain %v, caveats %q", certain(d), d.Caveats)
			}
		})
	}
}

// TestServiceType: without a frontend for the cluster IP its clients are not balanced, but the exporter offers the endpoints.
func TestServiceType(t *testing.T) {
	t.Parallel()
	for value, eu := range map[string]string{"LoadBalancer": "ignored", "NodePort": "ignored", "ClusterIP": "us=1 eu=1", "loadbalancer": "us=1 eu=1", "": "us=1 eu=1"} {
		snap := mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"))
		svc := snap.Clusters[1].Services[key]
		svc.Type, svc.Annotations[cilium.AnnotationType] = "LoadBalancer", value
		if d := cmp.Diff(map[string]string{"us": "us=1 eu=1", "eu": eu}, decideAll(t, snap, http)); d != "" {
			t.Errorf("%q: %s", value, d)
		}
		if d := Decide(snap, "us", key, http); !certain(d) {
			t.Errorf("%q: %+v", value, d)
		}
		svc.Headless, svc.ClusterIPs = true, nil
		if d := Decide(snap, "eu", key, http); d.Kind != KindHeadless {
			t.Errorf("%q, headless: %s", value, d.Kind)
		}
	}
}

func TestWithoutEndpointsLeavesTheInput(t *testing.T) {
	t.Parallel()
	snap := mesh("1.18.11", service(1, 2, "global"), service(2, 1, "global"))
	lost := snap.WithoutEndpoints("us", key)
	if got := decideAll(t, lost, http); got["us"] != "eu=1" {
		t.Errorf("after the loss: %v", got)
	}
	if got := decideAll(t, snap, http); got["us"] != "us=2 eu=1" {
		t.Errorf("the input changed: %v", got)
	}
}
