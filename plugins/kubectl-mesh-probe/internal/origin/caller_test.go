package origin

import (
	"net/netip"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// A name or an address of the caller does not identify the sender.
func TestField03Caller(t *testing.T) {
	t.Parallel()
	id := fieldIdentifier(t)
	for name, tc := range map[string]struct {
		reply *reply.Reply
		want  string
	}{
		"the client's cluster in words":  {answered("client cluster: eu"), ""},
		"the client's cluster name":      {answered("client cluster name=eu"), ""},
		"the remote cluster":             {answered("remote_cluster=eu"), ""},
		"your cluster":                   {answered("hello, your cluster: eu"), ""},
		"a peer in JSON":                 {answered(`{"peer":{"cluster":"eu"}}`), ""},
		"a forwarded name":               {answered("ok", "X-Forwarded-Cluster: eu"), ""},
		"a greeting from the server":     {answered("Hello from cluster: eu"), "eu"},
		"the client's address":           {answered("client_address=10.2.1.2\nreal path=/"), ""},
		"the client's address in words":  {answered("Client address: [fd00:2::a]:4711"), ""},
		"the client's address in JSON":   {answered(`{"origin": "10.2.1.2"}`), ""},
		"the client's address in header": {answered("ok", "X-Forwarded-For: 10.2.1.2"), ""},
		"a pod's name in such a header":  {answered("ok", "X-Source-Pod: web-eu-1"), "eu"},
		"the address of the server":      {answered("Server address: 10.2.1.2:80"), "eu"},
		"both addresses":                 {answered("remote_addr=10.2.1.2 server_addr=10.1.1.2"), "us"},
	} {
		if got := id.Identify(tc.reply); got.Name != tc.want {
			t.Errorf("%s: %+v, want %q", name, got, tc.want)
		}
	}
}

// The address of a client pod that is a backend itself may be that of the caller or of the sender.
func TestOwnAddress(t *testing.T) {
	t.Parallel()
	own := []netip.Addr{netip.MustParseAddr("10.1.1.2"), netip.MustParseAddr("fd00:1::2")}
	for name, tc := range map[string]struct {
		reply     *reply.Reply
		want, own string
	}{
		"the address only":     {answered(`{"ip":"10.1.1.2"}`), "", "10.1.1.2"},
		"a greeting":           {answered("Hello, 10.1.1.2"), "", "10.1.1.2"},
		"the other family":     {answered("Hello, [fd00:1::2]:4711"), "", "fd00:1::2"},
		"in a header":          {answered("", "X-Addr: 10.1.1.2"), "", "10.1.1.2"},
		"mapped":               {answered("::ffff:10.1.1.2"), "", "10.1.1.2"},
		"and the sender's":     {answered("10.1.1.2 called 10.2.1.2"), "eu", "10.1.1.2"},
		"and the sender's pod": {answered("10.1.1.2 called web-eu-1"), "eu", "10.1.1.2"},
		"its own name":         {answered("web-us-1"), "us", ""},
		"another backend's":    {answered("10.1.1.20"), "us", ""},
	} {
		id := fieldIdentifier(t).CalledFrom(own)
		if got := id.Identify(tc.reply); got.Name != tc.want {
			t.Errorf("%s: %+v, want %q", name, got, tc.want)
		}
		if got := id.Undecided(tc.reply).Client; got != tc.own {
			t.Errorf("%s: undecided %q", name, got)
		}
		if got := fieldIdentifier(t).Identify(tc.reply); tc.want == "" && got.Name != "us" {
			t.Errorf("%s, of another client: %+v", name, got)
		}
	}
	// A socket leads to the pod itself only if the pod is the backend.
	if got := fieldIdentifier(t).CalledFrom(own).Identify(&reply.Reply{Connected: true, Peer: netip.MustParseAddrPort("10.1.1.2:5432")}); got.Name != "us" {
		t.Errorf("%+v", got)
	}
}
