package routing

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWorst: who answers the clients in ap at worst, if us is what they lose.
func TestWorst(t *testing.T) {
	t.Parallel()
	const both, us, eu, nobody = "us=1 eu=1", "us=1", "eu=1", ""
	for name, c := range map[string]struct {
		change func(c []Cluster)
		want   string
		why    []Unknown
	}{
		"all is known":              {func([]Cluster) {}, both, nil},
		"peers":                     {func(c []Cluster) { c[2].PeersKnown, c[2].Peers = false, nil }, us, []Unknown{{unknownPeers, "ap"}}},
		"peers of another":          {func(c []Cluster) { c[1].PeersKnown, c[1].Peers = false, nil }, both, nil},
		"peers, not global":         {func(c []Cluster) { c[2].PeersKnown = false; c[2].Services[key] = service(3, 0, "") }, nobody, nil},
		"a namespace":               {func(c []Cluster) { c[1].NamespacesHidden = true }, us, []Unknown{{unknownNamespace, "eu"}}},
		"a namespace of a stranger": {func(c []Cluster) { c[1].NamespacesHidden, c[2].Peers = true, []string{"us"} }, us, nil},
		"a namespace, not shared": {func(c []Cluster) {
			c[1].NamespacesHidden = true
			c[1].Services[key] = service(2, 1, "global,shared=false")
		}, us, nil},
		"a namespace of the lost one": {func(c []Cluster) { c[0].NamespacesHidden, c[0].DefaultGlobalNamespace = true, false }, both, []Unknown{{unknownNamespace, "us"}}},
		"a namespace of the client":   {func(c []Cluster) { c[2].NamespacesHidden = true }, both, nil},
		"conditions":                  {func(c []Cluster) { c[1].Services[key].Endpoints[0].DisputedConditions = true }, us, []Unknown{{unknownSlices, "eu"}}},
		"ports":                       {func(c []Cluster) { c[1].Services[key].Endpoints[0].DisputedPorts = true }, us, []Unknown{{unknownSlices, "eu"}}},
		"conditions of one of two": {func(c []Cluster) {
			c[1].Services[key] = service(2, 2, "global")
			c[1].Services[key].Endpoints[0].DisputedConditions = true
		}, both, []Unknown{{unknownSlices, "eu"}}},
		"conditions of the client's": {func(c []Cluster) {
			c[2].Services[key] = service(3, 1, "global")
			c[2].Services[key].Endpoints[0].DisputedConditions = true
		}, both, []Unknown{{unknownSlices, "ap"}}},
		"ports of the client's": {func(c []Cluster) {
			c[2].Services[key] = service(3, 1, "global")
			c[2].Services[key].Endpoints[0].DisputedPorts = true
		}, "us=1 eu=1 ap=1", nil},
		"conditions of the lost one": {func(c []Cluster) {
			e := &c[0].Services[key].Endpoints[0]
			e.Ready, e.Serving, e.DisputedConditions = false, false, true
		}, both, []Unknown{{unknownSlices, "us"}}},
		"a proxy of the exporter":       {func(c []Cluster) { c[1].ServiceProxyName = "x" }, us, []Unknown{{unknownProxy, "eu"}}},
		"one id, with the lost one":     {func(c []Cluster) { identified(&Snapshot{c}, 255, 1, 1, 3) }, us, []Unknown{{"us, eu have the same cluster-id 1", "eu"}}},
		"one id, of the client as well": {func(c []Cluster) { identified(&Snapshot{c}, 255, 1, 3, 3) }, us, nil}, // refused for certain
		"one id, of a stranger":         {func(c []Cluster) { identified(&Snapshot{c}, 255, 1, 1, 3); c[2].Peers = []string{"eu"} }, eu, nil},
		"one id, no Service there":      {func(c []Cluster) { identified(&Snapshot{c}, 255, 1, 1, 3); c[1].Services = nil }, us, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			snap := mesh("1.20.2", service(1, 1, "global"), service(2, 1, "global"), service(3, 0, "global"))
			c.change(snap.Clusters)
			was := dump(t, snap)
			worst, why := snap.Worst("ap", "us", key)
			if d := cmp.Diff(c.why, why); d != "" {
				t.Error(d)
			}
			if got := shares(Decide(worst, "ap", key, http).Outcomes[0]); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if (worst == snap) != (len(why) == 0) || dump(t, snap) != was {
				t.Error("what was read is changed")
			}
		})
	}
}

// TestWorstOfOneID: the clients in ap lose us, and their cluster connects to either eu or sa.
func TestWorstOfOneID(t *testing.T) {
	t.Parallel()
	const both = "eu, sa have the same cluster-id 2"
	for name, c := range map[string]struct {
		eu, sa *Service
		ids    []uint32
		want   string
		why    []Unknown
	}{
		"other ids":         {service(2, 2, "global"), service(4, 1, "global"), []uint32{1, 2, 3, 4}, "us=1 eu=2 sa=1", nil},
		"either has one":    {service(2, 2, "global"), service(4, 1, "global"), []uint32{1, 2, 3, 2}, "us=1 sa=1", []Unknown{{both, "eu"}}},
		"the other order":   {service(2, 1, "global"), service(4, 2, "global"), []uint32{1, 2, 3, 2}, "us=1 eu=1", []Unknown{{both, "sa"}}},
		"one has none":      {service(2, 2, "global"), service(4, 0, "global"), []uint32{1, 2, 3, 2}, "us=1", []Unknown{{both, "eu"}, {both, "sa"}}},
		"one is not shared": {service(2, 2, "global"), service(4, 1, "global,shared=false"), []uint32{1, 2, 3, 2}, "us=1", []Unknown{{both, "eu"}}},
		"one is absent":     {service(2, 2, "global"), nil, []uint32{1, 2, 3, 2}, "us=1", []Unknown{{both, "eu"}}},
		"another port": {service(2, 2, "global"), func() *Service {
			s := service(4, 1, "global")
			s.Endpoints[0].Ports = []Port{{Name: "other", Protocol: "TCP", Port: 81}}
			return s
		}(), []uint32{1, 2, 3, 2}, "us=1", []Unknown{{both, "eu"}, {both, "sa"}}},
		"one is lost": {service(2, 2, "global"), service(4, 1, "global"), []uint32{2, 2, 3, 2}, "us=1",
			[]Unknown{{"us, eu, sa have the same cluster-id 2", "eu"}, {"us, eu, sa have the same cluster-id 2", "sa"}}},
	} {
		snap := mesh("1.20.2", service(1, 1, "global"), c.eu, service(3, 0, "global"))
		sa := Cluster{Name: "sa", Version: snap.Clusters[0].Version, PeersKnown: true, DefaultGlobalNamespace: true, Services: map[Key]*Service{}}
		if c.sa != nil {
			sa.Services[key] = c.sa
		}
		snap.Clusters = append(snap.Clusters, sa)
		snap.Clusters[2].Peers = append(snap.Clusters[2].Peers, "sa")
		worst, why := identified(snap, 255, c.ids...).Worst("ap", "us", key)
		if got := shares(Decide(worst, "ap", key, http).Outcomes[0]); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if d := cmp.Diff(c.why, why); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// dump prints a snapshot with what is in the Services, not with their addresses.
func dump(t *testing.T, snap *Snapshot) string {
	t.Helper()
	var b strings.Builder
	for _, c := range snap.Clusters {
		services := c.Services
		c.Services = nil
		fmt.Fprintf(&b, "%+v\n", c)
		for _, k := range (&Snapshot{[]Cluster{{Services: services}}}).Keys() {
			text, err := json.Marshal(services[k])
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s\n", text)
		}
	}
	return b.String()
}
