package origin

import (
	"net/netip"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// What the clients send is not evidence: a server in any cluster may send it back.
func TestSentNames(t *testing.T) {
	t.Parallel()
	redirect, echo := answered("", "Location: http://shop-web/app/"), answered("GET /app HTTP/1.1\nHost: shop-web\n")
	url := Sent{Hosts: []string{"shop-web"}, Texts: []string{"/app"}}
	for name, tc := range map[string]struct {
		pod, node string
		sent      Sent
		reply     *reply.Reply
		want      string // the cluster
		undecided string
	}{
		"nothing is sent":            {"shop-web", "worker-1", Sent{}, redirect, "us", ""},
		"a redirect":                 {"shop-web", "worker-1", url, redirect, "", "shop-web"},
		"an echo":                    {"shop-web", "worker-1", url, echo, "", "shop-web"},
		"an echo of a long name":     {"shop-web", "worker-1", Sent{Hosts: []string{"shop-web.shop.svc"}}, answered("host=shop-web.shop.svc"), "", "shop-web"},
		"a word":                     {"web", "worker-1", Sent{Hosts: []string{"web"}}, answered(`{"host":"web"}`), "", "web"},
		"the pod of a headless name": {"db-0", "worker-1", Sent{Hosts: []string{"db-0.db.shop.svc"}}, answered("db-0"), "", "db-0"},
		"a part of another name":     {"shop-web-0", "worker-1", url, answered("shop-web-0"), "us", ""},
		"the address as well":        {"shop-web", "worker-1", url, answered("Host: shop-web, pod 10.1.1.2"), "us", "shop-web"},
		"a node":                     {"a-1", "shop-web", url, echo, "", "shop-web"},
		"in the path":                {"shop-0", "worker-1", Sent{Texts: []string{"/app?pod=shop-0"}}, answered("you asked for shop-0"), "", "shop-0"},
		"in a header":                {"shop-0", "worker-1", Sent{Texts: []string{"X-Pod: shop-0"}}, answered("x-pod: shop-0"), "", "shop-0"},
		"an address":                 {"a-1", "worker-1", Sent{Hosts: []string{"10.1.1.2"}}, answered("host: 10.1.1.2:80"), "", ""},
		"a cluster in a header":      {"a-1", "worker-1", Sent{Texts: []string{"X-Cluster: us"}}, answered(`{"headers":{"X-Cluster":"us"}}`), "", "us"},
		"a cluster as the host":      {"a-1", "worker-1", Sent{Hosts: []string{"us"}}, answered(`{"headers":{"Host":"us"}}`), "", "us"},
		"a namespace":                {"a-1", "worker-1", Sent{Hosts: []string{"web.us.svc"}}, answered(`{"cluster":"us"}`), "us", ""},
		"another name of the sender": {"shop-web", "worker-1", url, answered("Host: shop-web, node worker-1"), "us", "shop-web"},
	} {
		snap, key := fieldSnapshot()
		snap.Clusters[0].Services[key].Endpoints = []routing.Endpoint{{Pod: tc.pod, Node: tc.node, Addr: netip.MustParseAddr("10.1.1.2")}}
		tokens := NewTokens(snap, key).Sent(tc.sent)
		for _, id := range []*Identifier{fieldIdentifier(t).WithTokens(tokens), fieldIdentifier(t).WithTokens(tokens.Merge(NewTokens(snap, key).Sent(tc.sent)))} {
			if got := id.Identify(tc.reply); got.Name != tc.want {
				t.Errorf("%s: %+v, want %q", name, got, tc.want)
			}
			if got := id.Undecided(tc.reply); got != (Undecided{Sent: tc.undecided}) {
				t.Errorf("%s: undecided %+v, want %q", name, got, tc.undecided)
			}
			if len(id.Late()) > 0 {
				t.Errorf("%s: late %v", name, id.Late())
			}
			if got := id.Identify(&reply.Reply{Connected: true, Peer: netip.MustParseAddrPort("10.1.1.2:80")}); got.By != BySocket {
				t.Errorf("%s: the socket identifies %+v", name, got)
			}
		}
	}
}
