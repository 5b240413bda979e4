package routing

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

var key = Key{"default", "nginx"}

// http is the frontend that most cases ask for.
var http = Frontend{Port: Port{Name: "http", Protocol: "TCP", Port: 80}}

// service builds a Service with ready endpoints on port 8080 named as the frontend; ann is "global,shared=false,affinity=local".
func service(cluster int, ready int, ann string) *Service {
	s := &Service{Key: key, Type: "ClusterIP", Selector: true, Annotations: map[string]string{},
		ClusterIPs: []netip.Addr{netip.AddrFrom4([4]byte{172, 20, byte(cluster), 1})}, Ports: []Port{http.Port}}
	for a := range strings.SplitSeq(ann, ",") {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "global":
			s.Annotations[cilium.AnnotationGlobal] = "true"
		case "shared":
			s.Annotations[cilium.AnnotationShared] = v
		case "affinity":
			s.Annotations[cilium.AnnotationAffinity] = v
		}
	}
	for n := range ready {
		s.Endpoints = append(s.Endpoints, Endpoint{Addr: netip.AddrFrom4([4]byte{10, byte(cluster), 0, byte(n + 1)}),
			Ports: []Port{{Name: "http", Protocol: "TCP", Port: 8080}}, Ready: true, Serving: true, Pod: fmt.Sprintf("nginx-%d", n)})
	}
	return s
}

// mesh puts Services into clusters us, eu, ap, all of one version and fully peered. A nil Service is absent.
func mesh(version string, services ...*Service) *Snapshot {
	names := []string{"us", "eu", "ap"}[:len(services)]
	snap := &Snapshot{}
	for i, n := range names {
		c := Cluster{Name: n, Version: cilium.ParseVersion(version), PeersKnown: true, DefaultGlobalNamespace: true, Services: map[Key]*Service{}}
		for j, p := range names {
			if j != i {
				c.Peers = append(c.Peers, p)
			}
		}
		if services[i] != nil {
			c.Services[key] = services[i]
		}
		snap.Clusters = append(snap.Clusters, c)
	}
	return snap
}

// shares renders an outcome as "us=2 eu=1", zero shares left out.
func shares(o Outcome) string {
	var out []string
	for _, s := range o.Shares {
		if s.Backends > 0 {
			out = append(out, fmt.Sprintf("%s=%d", s.Cluster, s.Backends))
		}
	}
	return strings.Join(out, " ")
}

func decideAll(t *testing.T, snap *Snapshot, fe Frontend) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, c := range snap.Clusters {
		d := Decide(snap, c.Name, key, fe)
		switch {
		case d.Kind != KindBalanced:
			got[c.Name] = string(d.Kind)
		case len(d.Outcomes) != 1:
			t.Fatalf("%d outcomes for clients in %s", len(d.Outcomes), c.Name)
		default:
			got[c.Name] = shares(d.Outcomes[0])
		}
	}
	return got
}

// TestRows holds the five rows of the documentation's flowchart and what else a person works out by hand:
// who answers the clients of us (first) and eu (second), with 2 pods in us and 1 in eu.
func TestRows(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		version string
		us, eu  string // annotations; "-" for no Service
		want    [2]string
	}{
		"both global":                 {"1.18.11", "global", "global", [2]string{"us=2 eu=1", "us=2 eu=1"}},
		"eu not shared":               {"1.18.11", "global", "global,shared=false", [2]string{"us=2", "us=2 eu=1"}},
		"neither shared":              {"1.18.11", "global,shared=false", "global,shared=false", [2]string{"us=2", "eu=1"}},
		"eu not global":               {"1.18.11", "global", "", [2]string{"us=2", "eu=1"}},
		"eu has no Service":           {"1.18.11", "global", "-", [2]string{"us=2", "missing"}},
		"shared junk":                 {"1.18.11", "global", "global,shared=yes", [2]string{"us=2", "us=2 eu=1"}},
		"affinity local in us":        {"1.18.11", "global,affinity=local", "global", [2]string{"us=2", "us=2 eu=1"}},
		"affinity remote in eu":       {"1.18.11", "global", "global,affinity=remote", [2]string{"us=2 eu=1", "us=2"}},
		"none drops on 1.18":          {"1.18.11", "global,affinity=none", "global", [2]string{"us=2", "us=2 eu=1"}},
		"none is none on 1.17":        {"1.17.16", "global,affinity=none", "global", [2]string{"us=2 eu=1", "us=2 eu=1"}},
		"none is none on 1.20":        {"1.20.2", "global,affinity=none", "global", [2]string{"us=2 eu=1", "us=2 eu=1"}},
		"affinity without global":     {"1.18.11", "affinity=remote", "global", [2]string{"us=2", "eu=1"}},
		"remote, but nothing to use":  {"1.18.11", "global,affinity=remote", "global,shared=false", [2]string{"us=2", "us=2 eu=1"}},
		"unshared keeps its own view": {"1.18.11", "global,shared=false", "global", [2]string{"us=2 eu=1", "eu=1"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			build := func(n, ready int, ann string) *Service {
				if ann == "-" {
					return nil
				}
				return service(n, ready, ann)
			}
			got := decideAll(t, mesh(c.version, build(1, 2, c.us), build(2, 1, c.eu)), http)
			if d := cmp.Diff(map[string]string{"us": c.want[0], "eu": c.want[1]}, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestSecondWalkthrough: us unshared, eu with affinity remote. Clients in eu get ap only.
func TestSecondWalkthrough(t *testing.T) {
	t.Parallel()
	snap := mesh("1.16.19", service(1, 2, "global,shared=false"), service(2, 1, "global,affinity=remote"), service(3, 1, "global"))
	want := map[string]string{"us": "us=2 eu=1 ap=1", "eu": "ap=1", "ap": "eu=1 ap=1"}
	if d := cmp.Diff(want, decideAll(t, snap, http)); d != "" {
		t.Error(d)
	}
}

func TestEndpointStates(t *testing.T) {
	t.Parallel()
	set := func(s *Service, ready, serving, terminating bool) *Service {
		for i := range s.Endpoints {
			s.Endpoints[i].Ready, s.Endpoints[i].Serving, s.Endpoints[i].Terminating = ready, serving, terminating
		}
		return s
	}
	cases := map[string]struct {
		us, eu *Service
		want   map[string]string
	}{
		"local fails over when nothing is ready": {set(service(1, 2, "global,affinity=local"), false, false, false), service(2, 1, "global"),
			map[string]string{"us": "eu=1", "eu": "eu=1"}},
		"no local endpoints at all": {service(1, 0, "global,affinity=local"), service(2, 1, "global"),
			map[string]string{"us": "eu=1", "eu": "eu=1"}},
		"terminating but serving: active for others, last resort at home": {set(service(1, 2, "global"), false, true, true), service(2, 1, "global"),
			map[string]string{"us": "eu=1", "eu": "us=2 eu=1"}},
		"terminating and alone": {set(service(1, 2, "global"), false, true, true), service(2, 0, "global"),
			map[string]string{"us": "us=2", "eu": "us=2"}},
		"serving but not ready is exported, not used at home": {set(service(1, 2, "global"), false, true, false), service(2, 1, "global"),
			map[string]string{"us": "eu=1", "eu": "us=2 eu=1"}},
		"serving but not ready, and alone": {set(service(1, 2, "global"), false, true, false), service(2, 0, "global"),
			map[string]string{"us": "", "eu": "us=2"}},
		"nobody": {service(1, 0, "global"), service(2, 0, "global"), map[string]string{"us": "", "eu": ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, decideAll(t, mesh("1.18.11", c.us, c.eu), http)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	rename := func(s *Service, names ...string) *Service {
		for i := range s.Endpoints {
			s.Endpoints[i].Ports = nil
			for n, name := range names {
				s.Endpoints[i].Ports = append(s.Endpoints[i].Ports, Port{Name: name, Protocol: "TCP", Port: int32(8080 + n)})
			}
		}
		return s
	}
	cases := map[string]struct {
		version string
		client  string // the client's port name
		remote  []string
		want    string
		reason  string
	}{
		"same name":              {"1.18.11", "http", []string{"http"}, "us=2 eu=1", "used"},
		"other name":             {"1.18.11", "http", []string{"web"}, "us=2", "its port is named web, the client's http"},
		"unnamed there":          {"1.18.11", "http", []string{""}, "us=2 eu=1", "used"},
		"unnamed there, 1.17":    {"1.17.16", "http", []string{""}, "us=2", "its port is named (unnamed), the client's http"},
		"unnamed here takes all": {"1.18.11", "", []string{"a", "b"}, "us=2 eu=2", "used"},
		"unnamed here, 1.17":     {"1.17.16", "", []string{"a", "b"}, "us=2", "named a or b, the client's (unnamed)"},
		"one of two":             {"1.20.2", "b", []string{"a", "b"}, "us=2 eu=1", "used"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fe := Frontend{Port: Port{Name: c.client, Protocol: "TCP", Port: 80}}
			snap := mesh(c.version, rename(service(1, 2, "global"), c.client), rename(service(2, 1, "global"), c.remote...))
			o := Decide(snap, "us", key, fe).Outcomes[0]
			if got := shares(o); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := o.Reasons[1].String(); !strings.Contains(got, c.reason) {
				t.Errorf("reason %q, want one with %q", got, c.reason)
			}
		})
	}
}

func TestNamesWithOneAddressAreOneBackend(t *testing.T) {
	t.Parallel()
	eu := service(2, 1, "global")
	eu.Endpoints[0].Ports = []Port{{Name: "a", Protocol: "TCP", Port: 8080}, {Name: "b", Protocol: "TCP", Port: 8080}}
	snap := mesh("1.20.2", service(1, 0, "global"), eu)
	fe := Frontend{Port: Port{Protocol: "TCP", Port: 80}}
	if got := shares(Decide(snap, "us", key, fe).Outcomes[0]); got != "eu=1" {
		t.Errorf("got %q, want one backend", got)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	gated := mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"))
	gated.Clusters[1].Namespaces = map[string]map[string]string{"default": {cilium.AnnotationNamespaceGlobal: "false"}}
	ungated := mesh("1.19.5", service(1, 1, "global"), service(2, 1, "global"))
	ungated.Clusters[1].Namespaces = gated.Clusters[1].Namespaces
	apart := mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"))
	apart.Clusters[0].Peers = nil
	unread := mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"))
	unread.Clusters[1] = Cluster{Name: "kind-eu", Gap: "timeout"} // its Cilium name is not known
	udp := service(2, 1, "global")
	udp.Endpoints[0].Ports[0].Protocol = "UDP"
	// The port is there under its name, as UDP; that another port has another name does not matter.
	second := service(2, 1, "global")
	second.Endpoints[0].Ports = []Port{{Name: "http", Protocol: "UDP", Port: 8080}, {Name: "metrics", Protocol: "TCP", Port: 9090}}
	v6 := service(2, 1, "global")
	v6.Endpoints[0].Addr = netip.MustParseAddr("fd00::1")
	unready := service(2, 1, "global")
	unready.Endpoints[0].Ready, unready.Endpoints[0].Serving = false, false
	ignored := service(2, 1, "global")
	ignored.Labels = map[string]string{cilium.LabelServiceProxyName: "other"}
	cases := map[string]struct {
		snap *Snapshot
		code Code
		text string
	}{
		"ignored there":         {mesh("1.20.2", service(1, 1, "global"), ignored), ReasonIgnoredThere, "its Cilium ignores the Service"},
		"used":                  {mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global")), ReasonUsed, "used, global and shared there"},
		"client not global":     {mesh("1.20.2", service(1, 1, ""), service(2, 1, "global")), ReasonNotGlobalHere, "the client's Service is not global"},
		"remote not global":     {mesh("1.20.2", service(1, 1, "global"), service(2, 1, "")), ReasonNotGlobalThere, "its Service is not global"},
		"not shared":            {mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global,shared=no")), ReasonNotShared, `service.cilium.io/shared: "no"`},
		"missing":               {mesh("1.20.2", service(1, 1, "global"), nil), ReasonMissing, "the Service does not exist there"},
		"namespace, 1.20":       {gated, ReasonNamespace, "its namespace is not global"},
		"namespace, 1.19":       {ungated, ReasonUsed, "used"},
		"no peer":               {apart, ReasonNotPeer, "not connected to it"},
		"not read":              {unread, ReasonUnread, "timeout"},
		"no endpoints":          {mesh("1.20.2", service(1, 1, "global"), service(2, 0, "global")), ReasonNoEndpoints, "it has no endpoints"},
		"no ready endpoints":    {mesh("1.20.2", service(1, 1, "global"), unready), ReasonNoEndpoints, "its only endpoint is not ready"},
		"protocol":              {mesh("1.20.2", service(1, 1, "global"), udp), ReasonProtocol, "its port is UDP, the client's TCP"},
		"protocol, two ports":   {mesh("1.20.2", service(1, 1, "global"), second), ReasonProtocol, "its port is UDP, the client's TCP"},
		"family":                {mesh("1.20.2", service(1, 1, "global"), v6), ReasonFamily, "it has no IPv4 endpoints"},
		"affinity local":        {mesh("1.20.2", service(1, 1, "global,affinity=local"), service(2, 1, "global")), ReasonAffinityLocal, "affinity is local"},
		"affinity junk on 1.18": {mesh("1.18.0", service(1, 1, "global,affinity=cluster-a"), service(2, 1, "global")), ReasonAffinityJunk, `"cluster-a" drops all remote backends`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(c.snap, "us", key, http)
			r := d.Outcomes[0].Reasons[1]
			if r.Code != c.code || !strings.Contains(r.String(), c.text) {
				t.Errorf("got %s %q, want %s %q", r.Code, r, c.code, c.text)
			}
			if d.Incomplete != (c.code == ReasonUnread) {
				t.Errorf("incomplete is %v", d.Incomplete)
			}
		})
	}
}

func TestUnknownVersionShowsEveryOutcome(t *testing.T) {
	t.Parallel()
	snap := mesh("", service(1, 2, "global,affinity=none"), service(2, 1, "global"))
	d := Decide(snap, "us", key, http)
	got := map[string]string{}
	for _, o := range d.Outcomes {
		got[strings.Join(o.Versions, ", ")] = shares(o)
	}
	want := map[string]string{"1.20, 1.19.6 and later 1.19, 1.15 to 1.17": "us=2 eu=1", "1.18.10 and later 1.18, 1.19.4, 1.19.5, 1.18.0 to 1.18.9, 1.19.0 to 1.19.3": "us=2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if certain(d) {
		t.Error("certain although versions differ")
	}
	plain := Decide(mesh("", service(1, 2, "global"), service(2, 1, "global")), "us", key, http)
	if len(plain.Outcomes) != 1 || plain.Outcomes[0].Versions != nil {
		t.Errorf("versions do not differ here: %+v", plain.Outcomes)
	}
}

// TestSharedTargetPort: two names for one port of a remote endpoint, of which some versions keep one.
func TestSharedTargetPort(t *testing.T) {
	t.Parallel()
	shared := func(cluster int) *Service {
		s := service(cluster, 1, "global")
		s.Ports = append(s.Ports, Port{Name: "metrics", Protocol: "TCP", Port: 81})
		s.Endpoints[0].Ports = append(s.Endpoints[0].Ports, Port{Name: "metrics", Protocol: "TCP", Port: 8080})
		return s
	}
	for version, want := range map[string][]string{
		"1.17.16": {"us=1 eu=1"}, "1.18.9": {"us=1 eu=1", "us=1"}, "1.18.10": {"us=1 eu=1"},
		"1.19.3": {"us=1 eu=1", "us=1"}, "1.19.4": {"us=1 eu=1"}, "1.20.0": {"us=1 eu=1"},
	} {
		snap := mesh(version, shared(1), shared(2))
		d := Decide(snap, "us", key, http)
		var got []string
		for _, o := range d.Outcomes {
			got = append(got, shares(o))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", version, diff)
		}
		if len(want) == 1 {
			continue
		}
		if certain(d) || len(d.Caveats) != 1 || !strings.Contains(d.Caveats[0], "45109") || d.Outcomes[1].Reasons[1].Code != ReasonPortLost {
			t.Errorf("%s: %+v", version, d)
		}
		if lone := Decide(mesh(version, service(1, 1, "global"), service(2, 1, "global")), "us", key, http); !certain(lone) || lone.Outcomes[0].Versions != nil {
			t.Errorf("%s: a lone port: %+v", version, lone)
		}
		if unnamed := Decide(snap, "us", key, Frontend{Port: Port{Protocol: "TCP", Port: 80}}); !certain(unnamed) {
			t.Errorf("%s: a client's port without a name takes whichever is kept: %+v", version, unnamed)
		}
	}
}

// TestUnnamedBesideNamed: a port without a name that shares its number with a named port does not count as unnamed.
func TestUnnamedBesideNamed(t *testing.T) {
	t.Parallel()
	far := service(2, 1, "global")
	far.Endpoints[0].Ports = []Port{{Protocol: "TCP", Port: 8080}}
	snap := mesh("1.20.2", service(1, 1, "global"), far)
	if got := decideAll(t, snap, http)["us"]; got != "us=1 eu=1" {
		t.Errorf("unnamed alone: %s", got)
	}
	far.Endpoints[0].Ports = append(far.Endpoints[0].Ports, Port{Name: "metrics", Protocol: "TCP", Port: 8080})
	if got := decideAll(t, snap, http)["us"]; got != "us=1" {
		t.Errorf("unnamed beside a name: %s", got)
	}
	far.Endpoints[0].Ports[1].Port = 9090
	if got := decideAll(t, snap, http)["us"]; got != "us=1 eu=1" {
		t.Errorf("unnamed beside another number: %s", got)
	}
}

func TestOffers(t *testing.T) {
	t.Parallel()
	svc := service(1, 3, "global")
	svc.Endpoints[0].Ready = false                                    // serving: exported
	svc.Endpoints[1].Ready, svc.Endpoints[1].Serving = false, false   // not
	svc.Endpoints[2].Ready, svc.Endpoints[2].Terminating = true, true // ready: exported
	got, r := mesh("1.20.2", svc).Clusters[0].Offers(key)
	if len(got) != 2 || got[0].Pod != "nginx-0" || got[1].Pod != "nginx-2" || r.Code != ReasonUsed {
		t.Errorf("got %+v, %s", got, r.Code)
	}
	if got, r := mesh("1.20.2", service(1, 1, "")).Clusters[0].Offers(key); got != nil || r.Code != ReasonNotGlobalThere {
		t.Errorf("not global: %+v, %s", got, r.Code)
	}
}

func TestCaveats(t *testing.T) {
	t.Parallel()
	snap := mesh("1.20.2", service(1, 2, "global"), service(2, 1, "global"))
	snap.Clusters[0].Peers = []string{"eu", "ap"}
	if d := Decide(snap, "us", key, http); len(d.Caveats) != 1 || !strings.Contains(d.Caveats[0], "ap, which is not read") {
		t.Errorf("a peer that is not read: %q", d.Caveats)
	}
	snap.Clusters[0].Services[key].Annotations = nil
	if d := Decide(snap, "us", key, http); d.Caveats != nil {
		t.Errorf("a Service that is not global: %q", d.Caveats)
	}
	gated := mesh("1.18.11", service(1, 1, "global"), service(2, 1, "global"))
	gated.Clusters[1].Version = cilium.Version{}
	gated.Clusters[1].Namespaces = map[string]map[string]string{"default": {cilium.AnnotationNamespaceGlobal: "false"}}
	got := map[string]string{}
	for _, o := range Decide(gated, "us", key, http).Outcomes {
		got[strings.Join(o.Versions, ", ")] = shares(o)
	}
	if d := cmp.Diff(map[string]string{"1.20 in eu": "us=1", "before 1.20 in eu": "us=1 eu=1"}, got); d != "" {
		t.Errorf("a gate that may not be there: %s", d)
	}
}
