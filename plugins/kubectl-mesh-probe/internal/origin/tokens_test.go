package origin

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// fieldSnapshot has two members with pods of both families, a node name that both use and one that is part of another.
func fieldSnapshot() (*routing.Snapshot, routing.Key) {
	key := routing.Key{Namespace: "shop", Name: "web"}
	member := func(name string, endpoints ...routing.Endpoint) routing.Cluster {
		return routing.Cluster{Name: name, Context: "kind-" + name, Services: map[routing.Key]*routing.Service{key: {Key: key, Endpoints: endpoints}}}
	}
	endpoint := func(pod, ip, node string) routing.Endpoint {
		return routing.Endpoint{Pod: pod, Addr: netip.MustParseAddr(ip), Node: node, Ready: true}
	}
	return &routing.Snapshot{Clusters: []routing.Cluster{
		member("us", endpoint("web-us-1", "10.1.1.2", "worker1"), endpoint("web-us-2", "fd00:1::2", "worker1"), endpoint("web-us-3", "10.1.1.20", "both")),
		member("eu", endpoint("web-eu-1", "10.2.1.2", "worker1.eu.example"), endpoint("web-eu-2", "fd00:2::a", "both")),
	}}, key
}

func fieldIdentifier(t *testing.T) *Identifier {
	t.Helper()
	id, err := Parse("auto", nil, []Member{{"us", "kind-us"}, {"eu", "kind-eu"}})
	if err != nil {
		t.Fatal(err)
	}
	return id.WithTokens(NewTokens(fieldSnapshot()))
}

// Names of clusters and contexts count only where a program writes them: in a header value, in a JSON value, or after a key.
func TestField03WeakNames(t *testing.T) {
	t.Parallel()
	id := fieldIdentifier(t)
	for name, tc := range map[string]struct {
		reply *reply.Reply
		want  string
	}{
		"prose":                          {answered("Contact us at any time."), ""},
		"prose that names both":          {answered("served by cluster us, for a client of kind-eu"), ""},
		"prose, end of a line":           {answered("It is up to us\n"), ""},
		"a heading":                      {answered("About us: who we are"), ""},
		"the name as a key":              {answered("us=1 eu=2"), ""},
		"a link":                         {answered(`<a href="/contact?to=us">`), ""},
		"a language":                     {answered("lang=us country: us"), ""},
		"prose in a JSON value":          {answered(`{"message":"Contact us"}`), ""},
		"a JSON key":                     {answered(`{"us":"yes"}`), ""},
		"after a key":                    {answered("cluster=us pod=x"), "us"},
		"after a key with a colon":       {answered("Cluster: eu\nzone: a"), "eu"},
		"after a key of two words":       {answered("cluster name: eu"), "eu"},
		"after a quoted key":             {answered(`hello "cluster": "eu", bye`), "eu"},
		"after a compound key":           {answered("CLUSTER_NAME='eu'"), "eu"},
		"a context after a key":          {answered("context=kind-eu;"), "eu"},
		"the end of a sentence":          {answered("Served with cluster=eu."), "eu"},
		"a longer value":                 {answered("cluster=eu-west"), ""},
		"a longer key":                   {answered("clusters nearby: us"), ""},
		"a JSON value":                   {answered(`{"where":{"cluster":"eu"}}`), "eu"},
		"a JSON value in a list":         {answered(`["x","eu"]`), "eu"},
		"JSON that is cut off":           {answered(`{"cluster":"eu","pad":"aaaa`), "eu"},
		"header":                         {answered("ok", "X-Cluster: eu"), "eu"},
		"header with a key":              {answered("ok", "X-Served-By: cluster=eu; pod=x"), "eu"},
		"header list":                    {answered("ok", "X-Route: edge, eu"), "eu"},
		"prose in a header":              {answered("ok", "X-Note: contact us"), ""},
		"a header about language":        {answered("ok", "Content-Language: us"), ""},
		"a cookie":                       {answered("ok", "Set-Cookie: region=us"), ""},
		"a redirect":                     {answered("ok", "Location: http://us/"), ""},
		"header and body disagree":       {answered("cluster=us", "X-Cluster: eu"), ""},
		"JSON values that disagree":      {answered(`{"cluster":"us","for":"eu"}`), ""},
		"context and cluster agree":      {answered("cluster=us context=kind-us"), "us"},
		"the client's cluster":           {answered("client-cluster=eu"), ""},
		"the client's cluster in JSON":   {answered(`{"client":{"cluster":"eu"},"server":{"cluster":"us"}}`), "us"},
		"a pod outranks a weak name":     {answered("web-us-1 cluster=eu"), "us"},
		"other case is another word":     {answered("cluster=US"), ""},
		"header value that is longer":    {answered("ok", "X-Cluster: eu2"), ""},
		"the name only":                  {answered("eu\n"), ""},
		"a key within a longer sentence": {answered("my cluster is: eu"), ""},
	} {
		if got := id.Identify(tc.reply); got.Name != tc.want {
			t.Errorf("%s: %q %+v: %q by %q, want %q", name, tc.reply.Body, tc.reply.Header, got.Name, got.By, tc.want)
		}
	}
}

// The name of a node that is also a word of a language is as weak as that of a cluster.
func TestField03PlainWords(t *testing.T) {
	t.Parallel()
	snap, key := fieldSnapshot()
	snap.Clusters[0].Services[key].Endpoints = append(snap.Clusters[0].Services[key].Endpoints, routing.Endpoint{Pod: "web", Node: "master"})
	id := fieldIdentifier(t).WithTokens(NewTokens(snap, key))
	for text, want := range map[string]string{
		"Our web shop is the master of all": "", "hostname: web": "us", `{"node":"master"}`: "us", "node name: master": "us", "cluster=web-eu-1": "eu", "node=master pod=web-eu-1": "eu",
	} {
		if got := id.Identify(answered(text)); got.Name != want {
			t.Errorf("%q: %q by %q, want %q", text, got.Name, got.By, want)
		}
	}
}

// Addresses are compared as addresses, in every spelling, and never as the beginning of a longer one.
func TestField03Addresses(t *testing.T) {
	t.Parallel()
	id := fieldIdentifier(t)
	for text, want := range map[string]string{
		"10.1.1.2":                              "us",
		"from 10.2.1.2.":                        "eu",
		"10.2.1.2:8080":                         "eu",
		"ip=10.2.1.2,":                          "eu",
		"addr:10.2.1.2":                         "eu",
		"http://10.2.1.2:80/x":                  "eu",
		"10.2.1.2/32":                           "eu",
		"::ffff:10.2.1.2":                       "eu",
		"[::ffff:10.2.1.2]:8080":                "eu",
		"::FFFF:0a02:0102":                      "eu",
		"fd00:1::2":                             "us",
		"FD00:1::2":                             "us",
		"fd00:0001:0:0:0:0:0:2":                 "us",
		"fd00:1:0000:0000:0000:0000:0000:2":     "us",
		"fd00:1:0:0::2":                         "us",
		"[fd00:1::2]:80":                        "us",
		"http://[fd00:1::2]/":                   "us",
		"http://[fd00:1::2%25eth0]:80/":         "us",
		"fd00:1::2%eth0":                        "us",
		"at fd00:1::2.":                         "us",
		"ip: fd00:2::a":                         "eu",
		"ip:fd00:2::a":                          "eu",
		"fd00:2::000A":                          "eu",
		"10.1.1.23":                             "",
		"10.1.1.2.3":                            "",
		"110.1.1.2":                             "",
		"10.1.1.200":                            "",
		"x10.1.1.2":                             "",
		"10.1.1.2x":                             "",
		"10-1-1-2":                              "",
		"fd00:1::2:80":                          "",
		"fd00:1::20":                            "",
		"fd00:1::2f":                            "",
		"afd00:1::2":                            "",
		"fd00:1::2::":                           "",
		"2001:fd00:1::2":                        "",
		"64:ff9b::10.1.1.2":                     "",
		"fd00:2::a:1.2.3.4":                     "",
		"10.1.1.20 is not 10.1.1.2":             "us",
		"client 10.2.1.2, server 10.1.1.2":      "",
		"fd00:1::2 and fd00:2::a":               "",
		"fd00:1::2, for a client of kind-eu":    "us",
		"worker1.eu.example":                    "eu",
		"node worker1, not worker1.eu.example1": "us",
		"both":                                  "",
	} {
		if got := id.Identify(answered(text)); got.Name != want {
			t.Errorf("%q: %q by %q, want %q", text, got.Name, got.By, want)
		}
		if got := id.Identify(answered("", "X-Server: "+text)); got.Name != want {
			t.Errorf("header %q: %q by %q, want %q", text, got.Name, got.By, want)
		}
	}
}

// A pod of the other family, and of an IPv4-mapped endpoint, is found as well; an address of two members counts for neither.
func TestField03AddressesOfTwoMembers(t *testing.T) {
	t.Parallel()
	snap, key := fieldSnapshot()
	us, eu := snap.Clusters[0].Services[key], snap.Clusters[1].Services[key]
	us.Endpoints = append(us.Endpoints, routing.Endpoint{Addr: netip.MustParseAddr("::ffff:10.9.9.9")})
	eu.Endpoints = append(eu.Endpoints, routing.Endpoint{Addr: netip.MustParseAddr("10.1.1.2")})
	id := fieldIdentifier(t).WithTokens(NewTokens(snap, key))
	for text, want := range map[string]string{"10.9.9.9": "us", "10.1.1.2": "", "::ffff:10.1.1.2": "", "10.1.1.20": "us"} {
		if got := id.Identify(answered(text)); got.Name != want {
			t.Errorf("%q: %q, want %q", text, got.Name, want)
		}
	}
}

// A name that a cluster which was not read may have too identifies nobody: that of a StatefulSet's pod, of one that a person named, or of a node.
// Names that Kubernetes generated and addresses are unique.
func TestNamesOfClustersThatAreNotRead(t *testing.T) {
	t.Parallel()
	const global = "service.cilium.io/global"
	for name, tc := range map[string]struct {
		change func(us, eu *routing.Cluster, svc *routing.Service)
		unique bool
	}{
		"all were read": {func(_, _ *routing.Cluster, _ *routing.Service) {}, true},
		"a peer is not": {func(us, _ *routing.Cluster, _ *routing.Service) { us.Peers = append(us.Peers, "ap") }, false},
		"a local Service": {func(us, _ *routing.Cluster, svc *routing.Service) {
			us.Peers = append(us.Peers, "ap")
			delete(svc.Annotations, global)
		}, true},
		"a peer of a peer is not": {func(_, eu *routing.Cluster, _ *routing.Service) { eu.Peers = append(eu.Peers, "ap") }, true},
		"a member is not":         {func(_, eu *routing.Cluster, _ *routing.Service) { eu.Gap, eu.Services = "timeout", nil }, false},
		"the peers are not":       {func(us, _ *routing.Cluster, _ *routing.Service) { us.PeersKnown, us.Peers = false, nil }, false},
		"the only cluster":        {func(us, eu *routing.Cluster, _ *routing.Service) { us.Peers, eu.Peers = nil, nil }, true},
	} {
		snap, key := fieldSnapshot()
		us, eu := &snap.Clusters[0], &snap.Clusters[1]
		us.PeersKnown, us.Peers, eu.PeersKnown, eu.Peers = true, []string{"eu"}, true, []string{"us"}
		svc := us.Services[key]
		svc.Annotations = map[string]string{global: "true"}
		svc.Endpoints = []routing.Endpoint{
			{Pod: "web-0", Node: "worker-1", Addr: netip.MustParseAddr("10.1.1.2")}, {Pod: "web-7d9f8b6c5d-x2x4z", Node: "10.1.0.1"}, {Pod: "web-canary", Node: "master"}, {Pod: "mail", Node: "node.eu.example"},
		}
		tc.change(us, eu, svc)
		names, peersOf := snap.Unread(key, "us")
		id := fieldIdentifier(t).WithTokens(NewTokens(snap, key, append(names, peersOf...)...))
		for text, always := range map[string]bool{
			"web-0": false, "worker-1": false, "web-canary": false, "hostname: mail": false, `{"node":"master"}`: false, "node.eu.example": false,
			"web-7d9f8b6c5d-x2x4z": true, "10.1.1.2": true, "web-0 of web-7d9f8b6c5d-x2x4z": true, "10.1.0.1": true, `{"cluster":"us"}`: true,
		} {
			want := ""
			if tc.unique || always {
				want = "us"
			}
			got := id.Identify(answered(text))
			if got.Name != want {
				t.Errorf("%s: %q: %q by %q, want %q", name, text, got.Name, got.By, want)
			}
			if open := id.Undecided(answered("", "X-Server: "+text)).Open; got.Name == "" && (open == "" || !strings.Contains(text, open)) {
				t.Errorf("%s: %q: undecided %q", name, text, open)
			}
		}
	}
}

// A name that a second cluster has from some moment of the run on identifies nobody from then on, and is remembered: what was attributed by it before
// may be wrong.
func TestNamesOfASecondCluster(t *testing.T) {
	t.Parallel()
	before, key := fieldSnapshot()
	before.Clusters[0].Services[key].Endpoints = []routing.Endpoint{{Pod: "web-0", Addr: netip.MustParseAddr("10.1.1.2")}, {Pod: "web-1"}}
	before.Clusters[1].Services[key].Endpoints = nil
	after, _ := fieldSnapshot()
	after.Clusters[1].Services[key].Endpoints = []routing.Endpoint{{Pod: "web-1"}, {Pod: "web-0"}}
	gap, _ := fieldSnapshot()
	gap.Clusters[1].Gap, gap.Clusters[1].Services = "timeout", nil
	tokens := NewTokens(before, key)
	id := fieldIdentifier(t)
	for _, snap := range []*routing.Snapshot{before, gap} {
		tokens = tokens.Merge(NewTokens(snap, key))
		if got := id.WithTokens(tokens).Late(); len(got) > 0 {
			t.Errorf("%v", got)
		}
	}
	for range 2 { // it is not forgotten
		tokens = tokens.Merge(NewTokens(after, key))
		if got := id.WithTokens(tokens); len(got.Late()) != 1 || got.Late()[ByPod] != "web-0" || got.Identify(answered("web-0")).Name != "" || got.Identify(answered("10.1.1.2")).Name != "us" {
			t.Errorf("%v", got.Late())
		}
	}
}

// The address of a socket identifies the member that has an endpoint with it. An address of two members identifies neither.
func TestConnectedTo(t *testing.T) {
	t.Parallel()
	snap, key := fieldSnapshot()
	for i := range snap.Clusters {
		svc := snap.Clusters[i].Services[key]
		svc.Endpoints = append(svc.Endpoints, routing.Endpoint{Pod: "both", Addr: netip.MustParseAddr("10.9.9.9")})
	}
	id, err := Parse("auto", nil, []Member{{"us", "kind-us"}, {"eu", "kind-eu"}})
	if err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string]Match{
		"10.1.1.2:5432": {Name: "us", Member: true, By: BySocket}, "[fd00:2::a]:1": {Name: "eu", Member: true, By: BySocket},
		"[::ffff:10.2.1.2]:5432": {Name: "eu", Member: true, By: BySocket},
		"10.9.9.9:5432":          {}, "10.96.0.10:5432": {}, "10.1.1.21:5432": {},
	} {
		one := &reply.Reply{Connected: true, Peer: netip.MustParseAddrPort(peer)}
		if got := id.WithTokens(NewTokens(snap, key)).Identify(one); got != want {
			t.Errorf("%s: %+v", peer, got)
		}
	}
	for name, one := range map[string]*reply.Reply{"no address": {Connected: true}, "not connected": {Class: reply.ClassRefused}} {
		if got := id.WithTokens(NewTokens(snap, key)).Identify(one); got != (Match{}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := id.Identify(&reply.Reply{Connected: true, Peer: netip.MustParseAddrPort("10.1.1.2:5432")}); got != (Match{}) {
		t.Errorf("nothing is known: %+v", got)
	}
}
