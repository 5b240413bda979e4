package probe

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// setState is a mesh in which StatefulSets have the pods that are named for each cluster.
func setState(pods map[string][]string) *routing.Snapshot {
	key := routing.Key{Namespace: "shop", Name: "web"}
	snap := &routing.Snapshot{}
	for _, name := range []string{"us", "eu"} {
		svc := &routing.Service{Key: key, Type: "ClusterIP", Annotations: map[string]string{"service.cilium.io/global": "true"}}
		for _, pod := range pods[name] {
			svc.Endpoints = append(svc.Endpoints, routing.Endpoint{Pod: pod, Node: "worker", Addr: addrs(map[string]string{"us": "10.1.1.1", "eu": "10.2.1.1"}[name])[0]})
		}
		snap.Clusters = append(snap.Clusters, routing.Cluster{Name: name, PeersKnown: true, Peers: []string{"us", "eu"}, Services: map[routing.Key]*routing.Service{key: svc}})
	}
	return snap
}

// A check does not pass by names that a cluster which is not read may have too, and a warning says what to do.
func TestNamesOfUnreadClusters(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change  func(snap *routing.Snapshot)
		body    string
		verdict judge.Verdict
		warning string // "" for none
	}{
		"all are read":         {func(*routing.Snapshot) {}, "web-0", judge.Pass, ""},
		"a peer is not":        {func(s *routing.Snapshot) { s.Clusters[0].Peers = append(s.Clusters[0].Peers, "ap", "af") }, "web-0", judge.Inconclusive, "100 replies contain a name that may not be unique, such as web-0: it may also exist in af or ap, which is not read; add its context with --contexts, or use --identify"},
		"nothing to recognize": {func(s *routing.Snapshot) { s.Clusters[0].Peers = append(s.Clusters[0].Peers, "ap") }, "hello", judge.Inconclusive, ""},
		"an address":           {func(s *routing.Snapshot) { s.Clusters[0].Peers = append(s.Clusters[0].Peers, "ap") }, "10.1.1.1", judge.Pass, ""},
		"a member is not":      {func(s *routing.Snapshot) { s.Clusters[1].Gap, s.Clusters[1].Services = "timeout", nil }, "web-0", judge.Inconclusive, "it may also exist in eu, which could not be read; run the command again"},
		"its peers are not":    {func(s *routing.Snapshot) { s.Clusters[0].PeersKnown, s.Clusters[0].Peers = false, nil }, "web-0", judge.Inconclusive, "it may also exist in another peer of us, and these peers could not be read"},
		"the client's address": {func(*routing.Snapshot) {}, "Hello, 10.1.1.9", judge.Inconclusive, "100 replies contain the address of the client pod (10.1.1.9), which may be that of the caller"},
	} {
		var ui screen
		r := fieldRun(t, &ui, "us", "eu")
		c := r.clients[0]
		c.tally, c.pod.IPs = tally.New(r.mesh.members), addrs("10.1.1.9")
		snap := setState(map[string][]string{"us": {"web-0"}})
		svc := snap.Clusters[0].Services[c.to.key]
		svc.Endpoints = append(svc.Endpoints, routing.Endpoint{Pod: "web-1", Addr: c.pod.IPs[0]})
		tc.change(snap)
		r.learn(snapshots{c.to: snap})
		for range 100 {
			one := reply.Reply{Status: 200, Body: []byte(tc.body)}
			c.tally.Add(one, c.identifier().Identify(&one))
		}
		r.clients, r.services[0].found = r.clients[:1], false // nothing is read again
		if doc := r.document(t.Context()); !slices.Equal(doc.Clients[0].Warnings, c.result.Warnings) {
			t.Errorf("%s: %q", name, doc.Clients[0].Warnings)
		}
		if got := strings.Join(c.result.Warnings, "\n"); !strings.Contains(got, tc.warning) || (got != "") != (tc.warning != "") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q", name, got)
		}
		if got := verdictOf(t, r, c, "only=us"); got.Verdict != tc.verdict {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// In a hub-and-spoke mesh, the clients of a spoke are answered by their own cluster and the hub, and by no other spoke.
func TestNamesOfPeersOfPeers(t *testing.T) {
	t.Parallel()
	one := reply.Reply{Status: 200, Body: []byte("web-0")}
	for from, want := range map[string]string{"us": "us", "us,eu": ""} {
		var ui screen
		r := fieldRun(t, &ui, "us", "eu")
		r.clients = r.clients[:len(strings.Split(from, ","))]
		snap := setState(map[string][]string{"us": {"web-0"}, "eu": {"web-1"}})
		snap.Clusters[1].Peers = append(snap.Clusters[1].Peers, "ap")
		r.learn(snapshots{r.services[0]: snap})
		r.notice(snapshots{r.services[0]: snap})
		if got := r.clients[0].identifier().Identify(&one); got.Name != want {
			t.Errorf("clients in %s: %+v", from, got)
		}
	}
}

// Checks know the requests that were not sent.
func TestChecksOfRequestsThatWereNotSent(t *testing.T) {
	t.Parallel()
	for dropped, want := range map[int]judge.Verdict{0: judge.Pass, 1: judge.Inconclusive} {
		var ui screen
		r := fieldRun(t, &ui, "us")
		c := r.clients[0]
		c.tally, c.result.Schedule.Dropped = tally.New(r.mesh.members), dropped
		c.tally.Add(reply.Reply{Status: 200}, origin.Match{})
		if got := verdictOf(t, r, c, "errors=0%"); got.Verdict != want {
			t.Errorf("%d not sent: %+v", dropped, got)
		}
	}
}

// verdictOf judges one expectation.
func verdictOf(t *testing.T, r *run, c *client, expr string) judge.Check {
	t.Helper()
	var err error
	if c.to.expect, err = judge.ParseExpectations([]string{expr}, r.mesh.members, false); err != nil {
		t.Fatal(err)
	}
	return r.checks(c)[0]
}

// What was attributed by the name of a pod that a second cluster has later proves nothing, if the client's replies were attributed by such names.
func TestNamesThatAreReused(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]judge.Verdict{"web-0": judge.Inconclusive, "10.1.1.1": judge.Pass} {
		var ui screen
		r := fieldRun(t, &ui, "us", "eu")
		c := r.clients[0]
		c.tally = tally.New(r.mesh.members)
		r.learn(snapshots{c.to: setState(map[string][]string{"us": {"web-0"}})})
		one := reply.Reply{Status: 200, Body: []byte(body)}
		for range 100 {
			c.tally.Add(one, c.identifier().Identify(&one))
		}
		if got := verdictOf(t, r, c, "only=us"); got.Verdict != judge.Pass {
			t.Errorf("%s, before: %+v", body, got)
		}
		r.notice(snapshots{c.to: setState(map[string][]string{"us": {"web-0"}, "eu": {"web-0"}})})
		if got := verdictOf(t, r, c, "only=us"); got.Verdict != want || want == judge.Inconclusive && !strings.Contains(got.Reason, "the same pod name web-0") {
			t.Errorf("%s, after: %+v", body, got)
		}
	}
}

// A member that once does not answer during the run does not make the names of the others doubtful, and does not keep new ones from being learned.
func TestMemberDoesNotAnswerOnce(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us", "eu")
	c := r.clients[0]
	pods := map[string][]string{"us": {"web-0"}, "eu": {"web-1"}}
	r.learn(snapshots{c.to: setState(pods)})
	gap := setState(map[string][]string{"us": {"web-0", "web-2"}})
	gap.Clusters[1].Gap, gap.Clusters[1].Services = "timeout", nil
	c.changed = "not compared here"
	r.notice(snapshots{c.to: gap})
	for pod, want := range map[string]string{"web-0": "us", "web-1": "eu", "web-2": "us"} {
		if got := c.identifier().Identify(&reply.Reply{Status: 200, Body: []byte(pod)}); got != (origin.Match{Name: want, Member: true, By: origin.ByPod}) {
			t.Errorf("%s: %+v", pod, got)
		}
	}
	one := reply.Reply{Status: 200, Body: []byte("web-0")}
	r.learn(snapshots{c.to: gap}) // at the end
	if got := c.identifier().Identify(&one); got.Name != "" {
		t.Errorf("%+v", got)
	}
}

// A server that sends the host of the URL back does not identify its cluster, although a pod in one cluster has the same name.
func TestNamesInTheRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		url, header string
		verdict     judge.Verdict
	}{
		"the URL":       {"http://shop-web/app", "", judge.Inconclusive},
		"a Host header": {"http://10.96.0.1/app", "Host: shop-web", judge.Inconclusive},
		"another name":  {"http://shop/app", "", judge.Pass},
	} {
		var ui screen
		r := fieldRun(t, &ui, "us", "eu")
		c := r.clients[0]
		c.tally = tally.New(r.mesh.members)
		var err error
		if c.to.url, err = request.ParseTarget(tc.url); err != nil {
			t.Fatal(err)
		}
		if tc.header != "" {
			r.cfg.Send.Headers = []string{tc.header}
		}
		snap := setState(map[string][]string{"us": {"shop-web"}, "eu": {"shop-web-7d9f8b6c5d-x2x4z"}})
		r.learn(snapshots{c.to: snap})
		r.notice(snapshots{c.to: snap})
		for range 100 {
			one := reply.Reply{Status: 301, Header: []string{"Location: http://shop-web/app/"}}
			c.tally.Add(one, c.identifier().Identify(&one))
		}
		r.explainNames(c)
		warned := strings.Contains(strings.Join(c.result.Warnings, "\n"), "100 replies contain a name that is also in the request or is the name of the Service, such as shop-web, and nothing else")
		if got := verdictOf(t, r, c, "only=us"); got.Verdict != tc.verdict || warned != (tc.verdict != judge.Pass) {
			t.Errorf("%s: %+v, warnings %q", name, got, c.result.Warnings)
		}
	}
}
