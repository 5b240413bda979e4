package probe

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/witness"
)

// witnessMesh has Service shop/web with endpoints in us and eu, and one address in us.
func witnessMesh(us, eu int) *routing.Snapshot {
	key := routing.Key{Namespace: "shop", Name: "web"}
	snap := &routing.Snapshot{}
	for i, n := range []int{us, eu} {
		svc := &routing.Service{Key: key, Type: "ClusterIP", ClusterIPs: addrs("172.20.1.5"), Annotations: map[string]string{cilium.AnnotationGlobal: "true"}, Ports: []routing.Port{{Protocol: "TCP", Port: 8080}}}
		for e := range n {
			svc.Endpoints = append(svc.Endpoints, routing.Endpoint{Addr: addrs(fmt.Sprintf("10.%d.0.%d", i+1, e+1))[0], Ready: true, Serving: true, Ports: svc.Ports})
		}
		snap.Clusters = append(snap.Clusters, routing.Cluster{Name: []string{"us", "eu"}[i], Version: cilium.ParseVersion("1.20.2"), DefaultGlobalNamespace: true, PeersKnown: true, Peers: []string{"us", "eu"}, Services: map[routing.Key]*routing.Service{key: svc}})
	}
	return snap
}

// Each layer may differ from the one above it, and the check names it and the node. What makes --expect-prediction inconclusive makes the comparison
// of the traffic inconclusive too.
func TestWitness(t *testing.T) {
	t.Parallel()
	both := []string{"10.1.0.1:8080", "10.2.0.1:8080"}
	answers := func(us, eu int) func(*run, *client) {
		return func(_ *run, c *client) {
			for n := range us + eu {
				name := "us"
				if (n+1)*eu/(us+eu) > n*eu/(us+eu) { // evenly mixed
					name = "eu"
				}
				c.tally.Add(reply.Reply{Status: 200}, origin.Match{Name: name, Member: true})
			}
		}
	}
	refused := func(n int) func(*run, *client) {
		return func(_ *run, c *client) {
			for range n {
				c.tally.Add(reply.Reply{Class: reply.ClassRefused}, origin.Match{})
			}
		}
	}
	changed := func(_ *run, c *client) { c.changed = "us 100.0%" }
	for name, c := range map[string]struct {
		agent      []string
		us, eu     int // endpoints
		was        []func(*run, *client)
		differs    string
		verdict    string
		reasonPart string
	}{
		"all agree":                      {both, 1, 1, []func(*run, *client){answers(201, 199)}, "none", "PASS", ""},
		"the agent lacks eu":             {both[:1], 1, 1, []func(*run, *client){answers(400, 0)}, "agent", "FAIL", "node n1: the agent lacks backends of eu (1)"},
		"the agent keeps a removed pod":  {append(both[:2:2], "10.2.0.2:8080"), 1, 1, []func(*run, *client){answers(130, 130)}, "agent", "FAIL", "node n1: the agent still has backends that no cluster has (1)"},
		"the traffic differs":            {both, 1, 1, []func(*run, *client){answers(400, 0)}, "traffic", "FAIL", "node n1: the requests were answered with other shares"},
		"nobody has a backend":           {nil, 0, 0, []func(*run, *client){refused(400)}, "none", "PASS", ""},
		"somebody answers":               {nil, 0, 0, []func(*run, *client){refused(399), answers(1, 0)}, "traffic", "FAIL", "node n1: the requests were answered with other shares"},
		"the prediction changed":         {both, 1, 1, []func(*run, *client){answers(400, 0), changed}, "", "INCONCLUSIVE", "the prediction changed during the run"},
		"a change that arrives too late": {both[1:], 1, 1, []func(*run, *client){answers(0, 400), changed}, "agent", "FAIL", "lacks backends of us (1)"},
		"almost all failed":              {both, 1, 1, []func(*run, *client){refused(399), answers(1, 0)}, "", "INCONCLUSIVE", "399 requests failed"},
		"some are unknown": {both, 1, 1, []func(*run, *client){answers(200, 190), func(_ *run, c *client) {
			for range 10 {
				c.tally.Add(reply.Reply{Status: 200}, origin.Match{})
			}
		}}, "", "INCONCLUSIVE", "10 replies could not be attributed"},
		"too few": {both, 1, 1, []func(*run, *client){answers(1, 1)}, "", "INCONCLUSIVE", "too few requests"},
		"weak names": {both, 1, 1, []func(*run, *client){func(_ *run, c *client) {
			for range 400 {
				c.tally.Add(reply.Reply{Status: 200}, origin.Match{Name: "us", Member: true, By: origin.ByCluster, Weak: true})
			}
		}}, "", "INCONCLUSIVE", "relies on cluster names in the replies"},
		"a proxy":           {both, 1, 1, []func(*run, *client){answers(400, 0), func(_ *run, c *client) { c.caveats = []string{"a sidecar"} }}, "", "INCONCLUSIVE", "caveat: a sidecar"},
		"a proxy that fits": {both, 1, 1, []func(*run, *client){answers(200, 200), func(_ *run, c *client) { c.caveats = []string{"a sidecar"} }}, "none", "PASS", ""},
		"changed and changed back": {both, 1, 1, []func(*run, *client){answers(300, 100), func(r *run, c *client) {
			r.mesh.touched = map[routing.Key]bool{c.to.key: true}
			r.reviewPrediction(c)
		}}, "", "INCONCLUSIVE", "was changed during the run"},
		"the shares changed": {both, 1, 1, []func(*run, *client){answers(200, 0), answers(0, 200)}, "", "INCONCLUSIVE", "the shares changed during the run"},
		"not complete":       {both, 1, 1, []func(*run, *client){answers(200, 200), func(_ *run, c *client) { c.result.Complete = false }}, "", "INCONCLUSIVE", "the run is not complete"},
	} {
		var ui screen
		r := fieldRun(t, &ui, "us", "eu")
		client := r.clients[0]
		client.pod, client.tally = podexec.Pod{Name: "client", Node: "n1"}, tally.New(r.mesh.members)
		for _, do := range c.was {
			do(r, client)
		}
		table := witness.Table{{Addr: netip.MustParseAddrPort("172.20.1.5:8080"), Protocol: "TCP"}: nil}
		for fe := range table {
			for _, b := range c.agent {
				table[fe] = append(table[fe], netip.MustParseAddrPort(b))
			}
		}
		out := v1alpha1.ProbeWitness{Cluster: "us", Node: "n1", Agent: "cilium-x"}
		r.judgeAgent(&out, client, table, witnessMesh(c.us, c.eu))
		got := checkWitness("us", out)
		if out.DifferingLayer != c.differs || got.Result != c.verdict || !strings.Contains(got.Reason, c.reasonPart) {
			t.Errorf("%s: %+v, %+v", name, out, got)
		}
	}
	unread := checkWitness("us", v1alpha1.ProbeWitness{Cluster: "us", Node: "n1", Message: "no agent runs on node n1"})
	if unread.Result != "INCONCLUSIVE" || unread.Reason != "no agent runs on node n1" {
		t.Errorf("an agent that cannot be read: %+v", unread)
	}
}
