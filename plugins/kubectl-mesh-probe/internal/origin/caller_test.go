package origin

import (
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
