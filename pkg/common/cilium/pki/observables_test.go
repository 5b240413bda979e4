package pki_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

func moment(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func TestParseAgentStatus(t *testing.T) {
	t.Parallel()
	const never = `"0001-01-01T00:00:00.000Z"`
	controller := func(peer, at string) string {
		return `{"name":"remote-etcd-` + peer + `","status":{"last-failure-timestamp":` + never + `,"last-success-timestamp":` + at + `}}`
	}
	for name, tc := range map[string]struct {
		json string
		want []pki.RemoteStatus
		bad  bool
	}{
		"connected": {`{"cluster-mesh":{"clusters":[{"name":"eu","connected":true,"ready":true,"status":"etcd: 1/1 connected, leases=0, lock leases=0, has-quorum=true, ID: 1f2e3d4c"}]},
			"controllers":[` + controller("eu", `"2026-11-28T10:00:00.500Z"`) + `,` + controller("eu-cluster-config", `"2026-11-28T10:00:01.000Z"`) + `]}`,
			[]pki.RemoteStatus{{Peer: "eu", Connected: true, EtcdID: "1f2e3d4c", Succeeded: moment(t, "2026-11-28T10:00:00.5Z")}}, false},
		"never connected": {`{"cluster-mesh":{"clusters":[{"name":"eu","status":"Waiting for initial connection to be established"}]},"controllers":[` + controller("eu", never) + `]}`,
			[]pki.RemoteStatus{{Peer: "eu"}}, false},
		"an id of a former connection": {`{"cluster-mesh":{"clusters":[{"name":"eu","status":"x, ID: 12"}]},"controllers":[` + controller("eu", `"1970-01-01T00:00:00.000Z"`) + `]}`,
			[]pki.RemoteStatus{{Peer: "eu"}}, false},
		"no mesh":                  {`{"controllers":[]}`, nil, false},
		"ready is not read":        {`{"cluster-mesh":{"clusters":[{"name":"eu","ready":true}]},"controllers":[]}`, []pki.RemoteStatus{{Peer: "eu"}}, false},
		"another program's output": {`{}`, nil, true},
		"not JSON":                 {`Error: timeout`, nil, true},
	} {
		got, err := pki.ParseAgentStatus([]byte(tc.json))
		if d := cmp.Diff(tc.want, got); d != "" || (err != nil) != tc.bad {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
}

func TestParseKVStoreMeshStatus(t *testing.T) {
	t.Parallel()
	got, err := pki.ParseKVStoreMeshStatus([]byte(`[{"name":"eu","connected":true,"status":"etcd: 1/1 connected, ID: ab"},{"name":"ap"}]`))
	if d := cmp.Diff([]pki.RemoteStatus{{Peer: "eu", Connected: true, EtcdID: "ab"}, {Peer: "ap"}}, got); d != "" || err != nil {
		t.Error(err, d)
	}
	if _, err := pki.ParseKVStoreMeshStatus([]byte(`Failed to retrieve status information`)); err == nil {
		t.Error("text counts as a status")
	}
}

func TestParseConnectLine(t *testing.T) {
	t.Parallel()
	const stamp = "2026-11-28T10:00:00.123456789Z "
	at := moment(t, "2026-11-28T10:00:00.123456789Z")
	connecting := func(peer string) *pki.ConnectLine {
		return &pki.ConnectLine{At: at, Event: pki.Connecting, Peer: peer}
	}
	for name, tc := range map[string]struct {
		line string
		want *pki.ConnectLine
	}{
		"established": {stamp + `time=2026-11-28T10:00:00.123Z level=info source=/go/src/x.go:1 msg="Connection to remote cluster established" module=clustermesh clusterName=eu etcdClusterID=1f2e`,
			&pki.ConnectLine{At: moment(t, "2026-11-28T10:00:00.123Z"), Event: pki.Established, Peer: "eu", EtcdID: "1f2e"}},
		"a time that is cut to a second": {stamp + `time="2026-11-28T10:00:00Z" level=info msg="Connection to remote cluster established" clusterName=eu subsys=clustermesh`,
			&pki.ConnectLine{At: at, Event: pki.Established, Peer: "eu"}},
		"established, logrus": {stamp + `level=info msg="Connection to remote cluster established" clusterName=eu subsys=clustermesh`,
			&pki.ConnectLine{At: at, Event: pki.Established, Peer: "eu"}},
		"established, JSON": {stamp + `{"time":"2026-11-28T10:00:00Z","level":"info","msg":"Connection to remote cluster established","clusterName":"eu","etcdClusterID":"1f2e","n":1}`,
			&pki.ConnectLine{At: at, Event: pki.Established, Peer: "eu", EtcdID: "1f2e"}},
		"connecting":                  {stamp + `level=info msg="Connecting to etcd server..." clusterName=eu endpoints="[https://eu.mesh.cilium.io:2379]" config=/var/lib/cilium/clustermesh/eu`, connecting("eu")},
		"connecting without the name": {stamp + `level=info msg="Connecting to etcd server..." config=/var/lib/cilium/clustermesh/eu endpoints="[https://eu]" subsys=kvstore`, connecting("eu")},
		"the own etcd":                {stamp + `level=info msg="Connecting to etcd server..." config=/var/lib/cilium/etcd-config.yaml endpoints="[https://127.0.0.1:2379]"`, nil},
		"a message that quotes it":    {stamp + `level=info msg="saw: Connection to remote cluster established" clusterName=eu`, nil},
		"a field that quotes it":      {stamp + `level=info msg=x clusterName=eu error="Connection to remote cluster established"`, nil},
		"a quoted quote":              {stamp + `level=info err="a \" b" msg="Connection to remote cluster established" clusterName=eu`, &pki.ConnectLine{At: at, Event: pki.Established, Peer: "eu"}},
		"without the cluster":         {stamp + `level=info msg="Connection to remote cluster established"`, nil},
		"without a timestamp":         {`level=info msg="Connection to remote cluster established" clusterName=eu`, nil},
		"another line":                {stamp + `level=info msg="Connecting to remote cluster" clusterName=eu`, nil},
		"empty":                       {"", nil},
	} {
		got, ok := pki.ParseConnectLine(tc.line)
		if ok != (tc.want != nil) {
			t.Errorf("%s: %v %+v", name, ok, got)
		} else if ok && cmp.Diff(*tc.want, got) != "" {
			t.Errorf("%s: %s", name, cmp.Diff(*tc.want, got))
		}
	}
}

func TestParseRejection(t *testing.T) {
	t.Parallel()
	line := func(text string) string {
		return `2026-11-28T10:00:00Z {"level":"warn","ts":"2026-11-28T10:00:00.0Z","caller":"embed/config_logging.go:177","msg":"rejected connection on client endpoint","remote-addr":"10.200.0.2:51234","server-name":"eu.mesh.cilium.io","ip-addresses":[],"dns-names":[],"error":"` + text + `"}`
	}
	for text, want := range map[string]pki.RejectReason{
		"remote error: tls: bad certificate":                                                                     pki.ClientRefused,
		"remote error: tls: unknown certificate authority":                                                       pki.ClientRefused,
		"remote error: tls: expired certificate":                                                                 pki.ClientRefused,
		"tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of)": pki.EtcdRefused,
		"tls: client didn't provide a certificate":                                                               pki.NotTrust,
		"remote error: tls: internal error":                                                                      pki.NotTrust,
		"EOF":                                                                                                    pki.NotTrust,
		"tls: first record does not look like a TLS handshake":                                                   pki.NotTrust,
		"read tcp 10.0.0.1:2379->10.0.0.2:5: read: connection reset by peer":                                     pki.NotTrust,
	} {
		got, ok := pki.ParseRejection(line(text))
		if !ok || got.Reason != want || got.Remote != "10.200.0.2" || got.Text != text || got.At.IsZero() {
			t.Errorf("%q: %v %+v, want %s", text, ok, got, want)
		}
	}
	for _, other := range []string{"", "2026-11-28T10:00:00Z rejected connection on client endpoint", `2026-11-28T10:00:00Z {"msg":"x","error":"rejected connection on client endpoint"}`} {
		if got, ok := pki.ParseRejection(other); ok {
			t.Errorf("%q counts: %+v", other, got)
		}
	}
	if got, _ := pki.ParseRejection(`2026-11-28T10:00:00Z {"msg":"rejected connection on client endpoint","remote-addr":"[fd00::1]:5","error":"EOF"}`); got.Remote != "fd00::1" {
		t.Errorf("IPv6 address %q", got.Remote)
	}
}

func FuzzObservables(f *testing.F) {
	f.Add(`2026-11-28T10:00:00Z level=info msg="Connection to remote cluster established" clusterName=eu etcdClusterID=1f2e`)
	f.Add(`2026-11-28T10:00:00Z {"msg":"rejected connection on client endpoint","remote-addr":":","error":"x509: "}`)
	f.Add(`{"cluster-mesh":{"clusters":[{"name":"eu","connected":true,"status":", ID: "}]},"controllers":[{"name":"remote-etcd-"}]}`)
	f.Add(`2026-11-28T10:00:00Z a="=" ="" msg=`)
	f.Fuzz(func(t *testing.T, s string) {
		if l, ok := pki.ParseConnectLine(s); ok && (l.Peer == "" || l.At.IsZero() || (l.Event != pki.Connecting && l.Event != pki.Established)) {
			t.Errorf("%q: %+v", s, l)
		}
		if r, ok := pki.ParseRejection(s); ok && r.Reason == "" {
			t.Errorf("%q: %+v", s, r)
		}
		got, err := pki.ParseAgentStatus([]byte(s))
		for _, r := range got {
			if err != nil || (r.EtcdID != "" && !r.Connected) {
				t.Errorf("%q: %v %+v", s, err, r)
			}
		}
		_, _ = pki.ParseKVStoreMeshStatus([]byte(s))
	})
}
