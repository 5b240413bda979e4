package routing

import (
	"fmt"
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
			was := fmt.Sprintf("%+v", snap)
			worst, why := snap.Worst("ap", "us", key)
			if d := cmp.Diff(c.why, why); d != "" {
				t.Error(d)
			}
			if got := shares(Decide(worst, "ap", key, http).Outcomes[0]); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if (worst == snap) != (len(why) == 0) || fmt.Sprintf("%+v", snap) != was {
				t.Error("what was read is changed")
			}
		})
	}
}
