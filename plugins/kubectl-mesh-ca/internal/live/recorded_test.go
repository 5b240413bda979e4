package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// The files in testdata are what Cilium 1.20.2 printed in the lab with real processes, in this order: both clusters began with one CA. In us the files got
// another CA, and the configurations of the peers a comment (06:14:52). us then served a certificate that eu did not accept (06:15:18), KVStoreMesh
// of eu began to connect again (06:15:23), its files got the other CA (06:15:36), and us served the certificate with a cross certificate (06:15:44).
func recorded(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func clockOf(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, "2026-11-29T"+s+"Z")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// start makes a pod that started before everything that was recorded.
func start(t *testing.T) time.Time { return clockOf(t, "06:11:54") }

func TestRecordedAgent(t *testing.T) {
	t.Parallel()
	f := &fakeStreams{output: map[string]string{"a/cilium-agent cilium-dbg": recorded(t, "agent-status.json"), "a/cilium-agent": recorded(t, "agent.log"), "a/cilium-agent sh": recorded(t, "files.txt")}}
	p := pod("a", SelectAgents, "cilium-agent")
	p.Status.ContainerStatuses[0].State.Running.StartedAt.Time = start(t)
	o, m := observer(f, clockOf(t, "06:17:00"), p)
	clients, err := o.Clients(t.Context(), m)
	if err != nil || len(clients) != 1 {
		t.Fatal(err, clients)
	}
	c := clients[0]
	// The agent has read its files one second after the comment was published, and before it was connected.
	if c.Peer != "eu" || !c.Connected || !c.Rebuilt.Equal(clockOf(t, "06:14:53.685696412")) || c.EtcdID != "58694cb54d524842" || !strings.Contains(c.Evidence, "succeeded at 2026-11-29T06:14:54.693Z") {
		t.Errorf("%+v", c)
	}
	files, err := o.Files(t.Context(), m)
	if err != nil || len(files) != 4 {
		t.Fatal(err, files)
	}
	for _, f := range files {
		if !f.Written.Equal(clockOf(t, "06:14:52.663515864")) || len(f.Certs) == 0 || f.Unknown != "" {
			t.Errorf("%+v", f)
		}
		if got := c.Read().Since(pki.At(f.Written)); got != pki.Fresh {
			t.Errorf("%s: %s", f.Path, got)
		}
	}
	// The id is that of the etcd in this pod.
	if got := pki.EtcdClusterID("93039323-99e5-4546-8865-9d0d989b2f88"); got != c.EtcdID {
		t.Errorf("id %s", got)
	}
}

// The connection was established after the files had changed, with the files of the time before: the line "Connection to remote cluster established" alone
// proves nothing. The log of etcd shows that the process still had the former CA afterwards.
func TestRecordedStaleConnection(t *testing.T) {
	t.Parallel()
	f := &fakeStreams{output: map[string]string{"k/kvstoremesh clustermesh-apiserver": recorded(t, "kvstoremesh-status.json"), "k/kvstoremesh": recorded(t, "kvstoremesh.log"), "e/etcd": recorded(t, "etcd.log")}}
	k := pod("k", selectMeshAPI, "kvstoremesh")
	k.Status.ContainerStatuses[0].State.Running.StartedAt.Time = start(t)
	o, m := observer(f, clockOf(t, "06:17:00"), k, pod("e", selectMeshAPI, "etcd"))
	clients, err := o.Clients(t.Context(), m)
	if err != nil || len(clients) != 1 {
		t.Fatal(err, clients)
	}
	c, changed := clients[0], pki.At(clockOf(t, "06:15:36"))
	if !c.Connected || !strings.Contains(c.Evidence, "established\" at 2026-11-29T06:15:49.913Z, begun at 2026-11-29T06:15:23.294Z") {
		t.Errorf("%+v", c)
	}
	if got := c.Read().Since(changed); got != pki.Stale {
		t.Errorf("%s, want stale", got)
	}
	rejected, err := o.Rejected(t.Context(), m, clockOf(t, "06:16:30"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[pki.RejectReason]int{}
	for _, r := range rejected {
		count[r.Reason]++
	}
	if count[pki.ClientRefused] < 3 || count[pki.EtcdRefused] > 0 {
		t.Errorf("%v", count)
	}
	all, err := o.Rejected(t.Context(), m, start(t))
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, r := range all {
		if r.Reason == pki.NotTrust {
			own++
		}
	}
	// The handshakes of status --live itself are in the log, and do not count as distrust.
	if own == 0 || own == len(all) {
		t.Errorf("%d of %d are not about trust", own, len(all))
	}
}
