package routing

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// identified gives the clusters of a mesh their ids, in order, all with one max-connected-clusters.
func identified(snap *Snapshot, maximum int, ids ...uint32) *Snapshot {
	for i := range snap.Clusters {
		c := &snap.Clusters[i]
		c.ID, c.MaxClusters, c.IDKnown = ids[i], maximum, true
	}
	return snap
}

// TestIdentity: a peer whose identity the agents refuse is not used, whatever its Services say.
func TestIdentity(t *testing.T) {
	t.Parallel()
	three := func() *Snapshot {
		return mesh("1.18.11", service(1, 1, "global"), service(2, 1, "global"), service(3, 1, "global"))
	}
	differing := identified(three(), 255, 1, 2, 3)
	differing.Clusters[0].MaxClusters = 511
	unknown := identified(three(), 255, 1, 1, 3)
	unknown.Clusters[1].IDKnown = false
	noID := identified(three(), 255, 0, 2, 3)
	noID.Clusters[1].IDKnown = false
	cases := map[string]struct {
		snap         *Snapshot
		client, want string
		reason       string // of eu
		caveat       string
	}{
		"distinct":                    {identified(three(), 255, 1, 2, 3), "us", "us=1 eu=1 ap=1", "used, global and shared there", ""},
		"equal to the client's":       {identified(three(), 255, 1, 1, 3), "us", "us=1 ap=1", "refuses to connect to it: its cluster-id 1 is the same as in the client's cluster", ""},
		"equal, seen from a third":    {identified(three(), 255, 1, 1, 3), "ap", "us=1 eu=1 ap=1", "used", "us and eu have the same cluster-id 1"},
		"zero, the client's":          {identified(three(), 255, 0, 2, 3), "us", "us=1", "the client's cluster has cluster-id 0", ""},
		"zero, the other's not read":  {noID, "us", "us=1", "the client's cluster has cluster-id 0", ""},
		"zero":                        {identified(three(), 255, 1, 0, 3), "us", "us=1 ap=1", "its cluster-id is 0", ""},
		"above the client's maximum":  {identified(three(), 255, 1, 300, 3), "us", "us=1 ap=1", "its cluster-id 300 is above max-connected-clusters 255", ""},
		"the client has the wide ids": {differing, "us", "us=1", "its max-connected-clusters is 255, but 511 in the client's cluster", ""},
		"a client with narrow ids":    {differing, "ap", "us=1 eu=1 ap=1", "used", ""},
		"an id that was not read":     {unknown, "us", "us=1 eu=1 ap=1", "used", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(c.snap, c.client, key, http)
			if got := shares(d.Outcomes[0]); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := d.Outcomes[0].Reasons[1].String(); !strings.Contains(got, c.reason) {
				t.Errorf("reason %q, want %q", got, c.reason)
			}
			if got := strings.Join(d.Caveats, "\n"); !strings.Contains(got, c.caveat) || c.caveat == "" && got != "" {
				t.Errorf("caveats %q, want %q", got, c.caveat)
			}
		})
	}
}

// TestOneAddressInTwoClusters: overlapping PodCIDRs. The client's own cluster keeps the address.
func TestOneAddressInTwoClusters(t *testing.T) {
	t.Parallel()
	us, eu, ap := service(1, 2, "global"), service(1, 3, "global"), service(3, 1, "global")
	snap := mesh("1.20.2", us, eu, ap)
	for client, want := range map[string]string{"us": "us=2 eu=1 ap=1", "eu": "eu=3 ap=1", "ap": "us=2 eu=1 ap=1"} {
		d := Decide(snap, client, key, http)
		if got := shares(d.Outcomes[0]); got != want {
			t.Errorf("clients in %s: got %s, want %s", client, got, want)
		}
		if len(d.Caveats) != 1 || !strings.Contains(d.Caveats[0], "have the same addresses") {
			t.Errorf("clients in %s: caveats %q", client, d.Caveats)
		}
	}
	if r := Decide(snap, "eu", key, http).Outcomes[0].Reasons[0]; r.Code != ReasonConflict || !strings.Contains(r.String(), "eu has endpoints with the same addresses") {
		t.Errorf("us for clients in eu: %s", r)
	}
}

// TestServiceCache: what agents and exporters up to 1.17 do otherwise.
func TestServiceCache(t *testing.T) {
	t.Parallel()
	with := func(s *Service, change func(e *Endpoint)) *Service {
		change(&s.Endpoints[0])
		return s
	}
	unready := func(e *Endpoint) { e.Ready = false }
	terminating := func(e *Endpoint) { e.Ready, e.Terminating = false, true }
	unset := func(e *Endpoint) { e.Ready, e.ServingUnset = false, true }
	// The address of eu's one endpoint is that of us's first, under another port.
	sameAddress := func() *Service {
		return with(service(2, 1, "global"), func(e *Endpoint) {
			e.Addr, e.Ports = netip.AddrFrom4([4]byte{10, 1, 0, 1}), []Port{{Name: "http", Protocol: "TCP", Port: 9090}}
		})
	}
	otherPort := func(e *Endpoint) { e.Ports = []Port{{Name: "metrics", Protocol: "TCP", Port: 8080}} }
	cases := map[string]struct {
		us, eu   func() *Service
		old, now map[string]string // on 1.17.16 and on 1.18.11
	}{
		"serving, not ready, not terminating": {
			func() *Service { return with(service(1, 2, "global"), unready) }, func() *Service { return service(2, 1, "global") },
			map[string]string{"us": "us=2 eu=1", "eu": "us=1 eu=1"}, map[string]string{"us": "us=1 eu=1", "eu": "us=2 eu=1"},
		},
		"the same, and affinity local": {
			func() *Service { return with(service(1, 1, "global,affinity=local"), unready) }, func() *Service { return service(2, 1, "global") },
			map[string]string{"us": "us=1", "eu": "eu=1"}, map[string]string{"us": "eu=1", "eu": "us=1 eu=1"},
		},
		"terminating and serving": {
			func() *Service { return with(service(1, 1, "global"), terminating) }, func() *Service { return service(2, 0, "global") },
			map[string]string{"us": "us=1", "eu": ""}, map[string]string{"us": "us=1", "eu": "us=1"},
		},
		"not ready, serving not told": {
			func() *Service { return with(service(1, 2, "global"), unset) }, func() *Service { return service(2, 1, "global") },
			map[string]string{"us": "us=1 eu=1", "eu": "us=1 eu=1"}, map[string]string{"us": "us=1 eu=1", "eu": "us=2 eu=1"},
		},
		"one address, two ports": {
			func() *Service { return service(1, 2, "global") }, sameAddress,
			map[string]string{"us": "us=2", "eu": "us=1 eu=1"}, map[string]string{"us": "us=2 eu=1", "eu": "us=2 eu=1"},
		},
		"one address, the local port serves another frontend": {
			func() *Service { return with(service(1, 2, "global"), otherPort) }, sameAddress,
			map[string]string{"us": "us=1", "eu": "us=1 eu=1"}, map[string]string{"us": "us=1 eu=1", "eu": "us=1 eu=1"},
		},
	}
	for name, c := range cases {
		for version, want := range map[string]map[string]string{"1.17.16": c.old, "1.18.11": c.now} {
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				if d := cmp.Diff(want, decideAll(t, mesh(version, c.us(), c.eu()), http)); d != "" {
					t.Error(d)
				}
			})
		}
	}
	unknown := mesh("1.20.2", service(1, 1, "global"), with(service(2, 1, "global"), unready))
	unknown.Clusters[1].Version = cilium.Version{}
	if d := Decide(unknown, "us", key, http); certain(d) || !strings.Contains(d.Doubt, "before 1.18") {
		t.Errorf("an exporter of unknown version: certain %v, %q", certain(d), d.Doubt)
	}
}

// connected returns the snapshot with every cluster as the peer of every other.
func connected(snap *Snapshot) *Snapshot {
	for i := range snap.Clusters {
		c := &snap.Clusters[i]
		c.PeersKnown = true
		for _, o := range snap.Clusters {
			if o.Name != c.Name {
				c.Peers = append(c.Peers, o.Name)
			}
		}
	}
	return snap
}

// TestManyUnknownExporters: both assumptions for each of a few, one and a caveat for many.
func TestManyUnknownExporters(t *testing.T) {
	t.Parallel()
	build := func(n int) *Snapshot {
		snap := &Snapshot{}
		for i := range n + 1 {
			c := Cluster{Name: fmt.Sprintf("c%d", i), DefaultGlobalNamespace: i == 0, Services: map[Key]*Service{key: service(i+1, 1, "global")}}
			if i == 0 {
				c.Version = cilium.ParseVersion("1.20.2")
			}
			snap.Clusters = append(snap.Clusters, c)
		}
		return connected(snap)
	}
	for n, want := range map[int]int{0: 1, 1: 2, 2: 4, 3: 8, 4: 1} {
		d := Decide(build(n), "c0", key, http)
		if len(d.Outcomes) != want {
			t.Errorf("%d exporters of unknown version: %d outcomes, want %d", n, len(d.Outcomes), want)
		}
		if (len(d.Caveats) > 0) != (n > maxGateCases) {
			t.Errorf("%d exporters: caveats %q", n, d.Caveats)
		}
	}
	var when []string
	for _, o := range Decide(build(2), "c0", key, http).Outcomes {
		when = append(when, strings.Join(o.Versions, "; ")+": "+shares(o))
	}
	want := []string{
		"1.20 in c1 and 1.20 in c2: c0=1", "1.20 in c1 and before 1.20 in c2: c0=1 c2=1",
		"before 1.20 in c1 and 1.20 in c2: c0=1 c1=1", "before 1.20 in c1 and before 1.20 in c2: c0=1 c1=1 c2=1",
	}
	if d := cmp.Diff(want, when); d != "" {
		t.Error(d)
	}
}

// TestDoubt: a single outcome is certain only where nothing is left open that may change it.
func TestDoubt(t *testing.T) {
	t.Parallel()
	three := func() *Snapshot {
		return mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"), service(3, 1, "global"))
	}
	with := func(change func(c []Cluster)) *Snapshot {
		snap := three()
		change(snap.Clusters)
		return snap
	}
	unknown := &Snapshot{}
	for i := range maxGateCases + 2 {
		unknown.Clusters = append(unknown.Clusters, Cluster{Name: fmt.Sprintf("c%d", i), DefaultGlobalNamespace: i == 0, Services: map[Key]*Service{key: service(i+1, 1, "global")}})
	}
	unknown.Clusters[0].Version = cilium.ParseVersion("1.20.2")
	connected(unknown)
	cases := map[string]struct {
		snap   *Snapshot
		client string
		doubt  string // "" is certain
	}{
		"all is known":                      {identified(three(), 255, 1, 2, 3), "us", ""},
		"a member that was not read":        {with(func(c []Cluster) { c[1] = Cluster{Name: "eu", Gap: "timeout"} }), "us", "could not be read"},
		"many exporters of unknown version": {unknown, "c0", "the Cilium versions of c1, c2, c3, c4 are unknown"},
		"two peers with one id":             {identified(three(), 255, 1, 2, 2), "us", "eu and ap have the same cluster-id 2"},
		"two peers with the client's id":    {identified(three(), 255, 2, 2, 2), "us", ""},
		"a peer outside the snapshot":       {with(func(c []Cluster) { c[0].Peers = append(c[0].Peers, "sa") }), "us", "sa, which is not read"},
		"the same, not global":              {with(func(c []Cluster) { c[0].Peers = append(c[0].Peers, "sa"); c[0].Services[key] = service(1, 1, "") }), "us", ""},
		"two remote clusters, one address":  {with(func(c []Cluster) { c[2].Services[key] = service(2, 1, "global") }), "us", "endpoints of eu and ap have the same addresses"},
		"a namespace that may not be read":  {with(func(c []Cluster) { c[1].NamespacesHidden = true }), "us", "cannot determine whether namespace default is global in eu"},
		"the same, not global by default":   {with(func(c []Cluster) { c[1].NamespacesHidden, c[1].DefaultGlobalNamespace = true, false }), "us", "is global in eu"},
		"the same, version unknown":         {with(func(c []Cluster) { c[1].NamespacesHidden, c[1].Version = true, cilium.Version{} }), "us", "is global in eu"},
		"two of them":                       {with(func(c []Cluster) { c[1].NamespacesHidden, c[2].NamespacesHidden = true, true }), "us", "is global in eu, ap"},
		"the same, no gate before 1.20":     {with(func(c []Cluster) { c[1].NamespacesHidden, c[1].Version = true, cilium.ParseVersion("1.19.7") }), "us", ""},
		"the same, its annotations are known": {with(func(c []Cluster) {
			c[1].NamespacesHidden, c[1].Namespaces = true, map[string]map[string]string{"default": nil}
		}), "us", ""},
		"the same, in the client's cluster": {with(func(c []Cluster) { c[0].NamespacesHidden = true }), "us", ""},
		"the same, not shared": {with(func(c []Cluster) {
			c[1].NamespacesHidden = true
			c[1].Services[key] = service(2, 1, "global,shared=false")
		}), "us", ""},
		"the same, no endpoints": {with(func(c []Cluster) { c[1].NamespacesHidden = true; c[1].Services[key] = service(2, 0, "global") }), "us", ""},
		"the same, affinity local": {with(func(c []Cluster) {
			c[1].NamespacesHidden = true
			c[0].Services[key] = service(1, 1, "global,affinity=local")
		}), "us", ""},
		"not global by default, affinity local": {with(func(c []Cluster) {
			c[1].NamespacesHidden, c[1].DefaultGlobalNamespace = true, false
			c[0].Services[key] = service(1, 1, "global,affinity=local")
		}), "us", ""},
		"the same, no own endpoints": {with(func(c []Cluster) {
			c[1].NamespacesHidden, c[1].DefaultGlobalNamespace = true, false
			c[0].Services[key] = service(1, 0, "global,affinity=local")
		}), "us", "is global in eu"},
		"the same, affinity junk on 1.18": {with(func(c []Cluster) {
			c[1].NamespacesHidden, c[1].DefaultGlobalNamespace = true, false
			c[0].Services[key], c[0].Version = service(1, 0, "global,affinity=junk"), cilium.ParseVersion("1.18.0")
		}), "us", ""},
		"not global by default, no endpoints": {with(func(c []Cluster) {
			c[1].NamespacesHidden, c[1].DefaultGlobalNamespace, c[1].Services[key] = true, false, service(2, 0, "global")
		}), "us", ""},
		"unknown peers":            {with(func(c []Cluster) { c[0].PeersKnown, c[0].Peers = false, nil }), "us", "the peers of the cluster could not be read"},
		"unknown peers of another": {with(func(c []Cluster) { c[1].PeersKnown, c[1].Peers = false, nil }), "us", ""},
		"unknown peers, affinity local": {with(func(c []Cluster) {
			c[0].PeersKnown, c[0].Peers = false, nil
			c[0].Services[key] = service(1, 1, "global,affinity=local")
		}), "us", ""},
		"unknown peers, affinity local, no own endpoints": {with(func(c []Cluster) {
			c[0].PeersKnown, c[0].Peers = false, nil
			c[0].Services[key] = service(1, 0, "global,affinity=local")
		}), "us", "the peers of the cluster could not be read"},
		"a peer outside the snapshot, affinity local": {with(func(c []Cluster) {
			c[0].Peers = append(c[0].Peers, "sa")
			c[0].Services[key] = service(1, 1, "global,affinity=local")
		}), "us", ""},
		"two peers with one id, affinity local": {with(func(c []Cluster) {
			identified(&Snapshot{c}, 255, 1, 2, 2)
			c[0].Services[key] = service(1, 1, "global,affinity=local")
		}), "us", ""},
		"one address in two slices of another, affinity local": {with(func(c []Cluster) {
			c[1].Services[key].Endpoints[0].DisputedConditions = true
			c[0].Services[key] = service(1, 1, "global,affinity=local")
		}), "us", ""},
		"unknown peers, not global": {with(func(c []Cluster) { c[0].PeersKnown = false; c[0].Services[key] = service(1, 1, "") }), "us", ""},
		"unknown peers, headless":   {with(func(c []Cluster) { c[0].PeersKnown = false; c[0].Services[key].Headless = true }), "us", ""},
		"unknown peers, mirrored": {with(func(c []Cluster) {
			c[0].PeersKnown, c[0].EndpointSliceSync = false, true
			c[0].Services[key].Headless = true
		}), "us", "the peers of the cluster"},
		"one address in two slices":               {with(func(c []Cluster) { c[1].Services[key].Endpoints[0].DisputedPorts = true }), "us", "two EndpointSlices of the Service in eu"},
		"the same, its conditions":                {with(func(c []Cluster) { c[1].Services[key].Endpoints[0].DisputedConditions = true }), "us", "two EndpointSlices of the Service in eu"},
		"the same, the ports of the client's own": {with(func(c []Cluster) { c[0].Services[key].Endpoints[0].DisputedPorts = true }), "us", ""},
		"the same, the client's own":              {with(func(c []Cluster) { c[0].Services[key].Endpoints[0].DisputedConditions = true }), "us", "two EndpointSlices of the Service in us"},
		"two slices, not shared": {with(func(c []Cluster) {
			c[1].Services[key] = service(2, 1, "global,shared=false")
			c[1].Services[key].Endpoints[0].DisputedPorts = true
		}), "us", ""},
		"the client's and another's, one too": {with(func(c []Cluster) { c[1].Services[key] = service(1, 1, "global") }), "us", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Decide(c.snap, c.client, key, http)
			if len(d.Outcomes) != 1 || certain(d) != (c.doubt == "") || d.Incomplete == certain(d) || !strings.Contains(d.Doubt, c.doubt) {
				t.Errorf("%d outcomes, certain %v, incomplete %v, doubt %q, want %q", len(d.Outcomes), certain(d), d.Incomplete, d.Doubt, c.doubt)
			}
		})
	}
}

// Which clusters may have backends for clients in us and ap that the snapshot does not have.
func TestUnread(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(c []Cluster)
		want   string
	}{
		"all were read":              {func([]Cluster) {}, "[] []"},
		"a peer outside":             {func(c []Cluster) { c[0].Peers = append(c[0].Peers, "sa"); c[2].Peers = append(c[2].Peers, "sa", "af") }, "[af sa] []"},
		"a peer of a peer":           {func(c []Cluster) { c[1].Peers = append(c[1].Peers, "sa") }, "[] []"},
		"unknown peers of a peer":    {func(c []Cluster) { c[1].PeersKnown, c[1].Peers = false, nil }, "[] []"},
		"the clients' cluster":       {func(c []Cluster) { c[0] = Cluster{Name: "us", Gap: "timeout"} }, "[us] []"},
		"a cluster that is missing":  {func(c []Cluster) { c[0].Name = "old" }, "[us] []"},
		"a peer of a local Service":  {func(c []Cluster) { c[0].Peers = append(c[0].Peers, "sa"); c[0].Services[key] = service(1, 1, "") }, "[] []"},
		"a peer, no Service":         {func(c []Cluster) { c[0].Peers = append(c[0].Peers, "sa"); delete(c[0].Services, key) }, "[] []"},
		"a member that was not read": {func(c []Cluster) { c[1] = Cluster{Name: "eu", Gap: "timeout"} }, "[eu] []"},
		"nobody's peer": {func(c []Cluster) {
			c[1] = Cluster{Name: "kind-old", Gap: "timeout"}
			c[0].Peers, c[2].Peers = []string{"ap"}, []string{"us"}
		}, "[] []"},
		"a peer of another name":      {func(c []Cluster) { c[1] = Cluster{Name: "kind-eu", Gap: "timeout"} }, "[eu] []"},
		"unknown peers":               {func(c []Cluster) { c[2].PeersKnown, c[2].Peers = false, nil }, "[] [ap]"},
		"unknown peers, of cluster 0": {func(c []Cluster) { c[2].PeersKnown, c[2].Peers, c[2].IDKnown = false, nil, true }, "[] []"},
	} {
		snap := mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"), service(3, 1, "global"))
		c.change(snap.Clusters)
		names, peersOf := snap.Unread(key, "us", "ap", "us")
		if got := fmt.Sprint(names, " ", peersOf); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestFurtherCaveats(t *testing.T) {
	t.Parallel()
	near := mesh("1.18.11", service(1, 1, "global"), service(2, 1, "global"))
	near.Clusters[0].Services[key].Topology = true
	if d := Decide(near, "us", key, http); d.Caveats != nil {
		t.Errorf("a cluster that does not heed topology: %q", d.Caveats)
	}
	near.Clusters[0].ServiceTopology = true
	if d := Decide(near, "us", key, http); len(d.Caveats) != 1 || !strings.Contains(d.Caveats[0], "differ between nodes") {
		t.Errorf("a cluster that heeds topology: %q", d.Caveats)
	}
	for version, want := range map[string]bool{"1.14.19": true, "1.15.0": false, "1.20.2": false, "1.21.0": true, "2.0.0": true} {
		d := Decide(mesh(version, service(1, 1, "global")), "us", key, http)
		if got := len(d.Caveats) > 0; got != want {
			t.Errorf("%s: caveats %q", version, d.Caveats)
		}
	}
}

// TestHeadlessFamilies: DNS answers for the families of the Service, and names ready pods only.
func TestHeadlessFamilies(t *testing.T) {
	t.Parallel()
	svc := service(1, 2, "")
	svc.Headless, svc.ClusterIPs, svc.IPv4, svc.IPv6 = true, nil, true, true
	svc.Endpoints[1].Ready, svc.Endpoints[1].Terminating = false, true
	svc.Endpoints = append(svc.Endpoints, Endpoint{Addr: netip.MustParseAddr("fd00::1"), Ready: true, Serving: true})
	snap := mesh("1.20.2", svc)
	for family, want := range map[string]string{"IPv4": "us=1", "IPv6": "us=1"} {
		found := false
		for _, fe := range svc.Frontends() {
			if fe.Family() == family {
				found = true
				if got := shares(Decide(snap, "us", key, fe).Outcomes[0]); got != want {
					t.Errorf("%s: got %q, want %q", family, got, want)
				}
			}
		}
		if !found {
			t.Errorf("no frontend for %s", family)
		}
	}
	svc.Ports = nil
	if fes := svc.Frontends(); len(fes) != 2 || fes[0].IPv6 || !fes[1].IPv6 {
		t.Errorf("without ports: %v", fes)
	}
	if d := Decide(snap, "us", key, svc.Frontends()[1]); shares(d.Outcomes[0]) != "us=1" {
		t.Errorf("without ports: %+v", d.Outcomes)
	}
	svc.Ports = service(1, 1, "").Ports
	svc.Endpoints = svc.Endpoints[:2]
	if fes := svc.Frontends(); len(fes) != 1 || fes[0].IPv6 {
		t.Errorf("both families by default, IPv4 endpoints only: %v", fes)
	}
	svc.IPv4 = false
	if fes := svc.Frontends(); len(fes) != 1 || !fes[0].IPv6 {
		t.Errorf("IPv6 only: %v", fes)
	}
}

// certain reports whether there is nothing but one outcome.
func certain(d Decision) bool { return len(d.Outcomes) == 1 && !d.Incomplete }
