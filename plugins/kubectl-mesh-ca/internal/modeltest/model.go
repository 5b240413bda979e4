// Package modeltest is a model of a mesh in which certificates change: API servers with versions and conflicts, kubelets that project files late, etcd, which
// reads its CA file only at start, and clients, which keep the CA file with which they connected. It is imported by tests only.
package modeltest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

const (
	serverCert = pki.SecretServer
	remoteCert = pki.SecretRemote
)

// Source is where the kubelets of a cluster read its Secrets: a Server of this package, or a real API server.
type Source interface {
	// Secret returns a copy of a Secret, nil if it does not exist.
	Secret(name string) *corev1.Secret
}

// Process models one cluster: the files that its pods see, which follow the Secrets with a delay, and what its processes have loaded of them.
type Process struct {
	*Server

	Name     string
	Member   *clusters.Member
	Source   Source
	Files    map[string]map[string][]byte // by Secret: what the kubelet has projected
	Written  map[string]time.Time         // by Secret: when the files last changed
	Etcd     []byte                       // CA file that etcd has loaded; it does not read it again
	Clients  map[string][]byte            // by peer: the CA file with which KVStoreMesh has built the connection; by its own name: the agents, to their own etcd
	Connects []Connect                    // in the order of time
	config   map[string]string            // by Secret: the text of the configurations that the clients have seen
	// What kubectl rollout restart has set of clustermesh-apiserver and of the agents, and the ticks until their new pods are ready.
	meshAPI, agents rollout
}

// Connect is a client of a cluster that read its CA file and connected to a peer.
type Connect struct {
	Peer string
	At   time.Time
}

// World is the whole mesh, with its time.
type World struct {
	T     testing.TB
	R     *rand.Rand
	At    time.Time
	Mesh  []*Process
	Kept  map[string]bool // pairs that trusted each other at the beginning, or, with Grows, at any time
	Grows bool
	// Doubts: one in so many times an etcd cannot be asked; 0 for never.
	Doubts int
	// mu is for what observations of several clusters at once share: cache and R.
	mu    sync.Mutex
	cache map[[2][sha256.Size]byte]bool
	// left is how many requests the process may send until it crashes; negative for never. Several are sent at once.
	left atomic.Int64
	// Stop, if set, says after which write the process crashes, before it gets the answer.
	Stop func(write string) bool
	Log  []string
	// Fail is called for a pair that lost its trust; it ends the test.
	Fail func(format string, args ...any)
}

// Now is the time of the model.
func (w *World) Now() time.Time { return w.At }

// Sleep lets time pass: kubelets project files, and pods start, each when it likes. A process that has ended does not sleep.
func (w *World) Sleep(ctx context.Context, d time.Duration) error {
	if w.left.Load() == 0 {
		return errCrashed
	}
	w.At = w.At.Add(d)
	for _, p := range w.Mesh {
		w.tick(p)
	}
	w.Check("time passed")
	return ctx.Err()
}

// New makes a mesh. The clusters have one CA, which install may use or not.
func New(t testing.TB, seed uint64, install func(name string, ca *pkitest.CA) catest.Install, names ...string) *World {
	random := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a test that can be repeated
	w := Empty(t, random, pkitest.Now)
	ca := pkitest.NewCA(t, pkitest.Spec{})
	for n, name := range names {
		in := install(name, &ca)
		p := &Process{Name: name}
		p.Server, p.Member = NewServer(t, name, in)
		p.Source, p.etcdStarted = p.Server, w.At.Add(-2*pkitest.Day)
		if authority := p.Secret(pki.SecretCA); authority != nil && authority.Labels["app.kubernetes.io/managed-by"] == "Helm" {
			authority.Labels["helm.sh/chart"] = "cilium-1.18.11" // reissue runs the upgrade only if it knows the chart
			p.Put("secrets", authority)
		}
		p.Member.Config.ClusterID = uint32(n + 1)
		peers := map[string][]byte{}
		for _, peer := range names {
			if peer != name {
				peers[peer] = peerConfig(peer)
			}
		}
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			secret := p.Secret(config)
			secret.Data = peers
			p.Put("secrets", secret)
		}
		w.Boot(p, names...)
	}
	w.Keep()
	return w
}

// Empty is a world without clusters.
func Empty(t testing.TB, random *rand.Rand, at time.Time) *World {
	w := &World{T: t, R: random, At: at, Kept: map[string]bool{}, cache: map[[2][sha256.Size]byte]bool{}, Fail: t.Fatalf}
	w.left.Store(-1)
	return w
}

// Boot starts the processes of a cluster, and adds it to the mesh. names are all clusters of the mesh.
func (w *World) Boot(p *Process, names ...string) {
	p.Files, p.Written, p.Clients, p.config = map[string]map[string][]byte{}, map[string]time.Time{}, map[string][]byte{}, map[string]string{}
	if p.Server != nil {
		w.Adopt(p)
	} else {
		w.Mesh = append(w.Mesh, p)
	}
	w.project(p)
	p.Etcd = p.Files[serverCert]["ca.crt"]
	for _, peer := range names {
		w.Connect(p, peer)
	}
}

// Keep makes it an error that a pair which trusts each other now stops to do so.
func (w *World) Keep() {
	for _, client := range w.Mesh {
		for _, server := range w.Mesh {
			if why := w.Handshake(client, server); why == "" {
				w.Kept[client.Name+" "+server.Name] = true
			}
		}
	}
}

// Adopt adds a cluster to the mesh.
func (w *World) Adopt(p *Process) {
	p.crashed, p.now = w.crashed, w.Now
	p.wrote = func(resource, name string) { w.Wrote(p, resource, name) }
	w.Mesh = append(w.Mesh, p)
}

// Connect builds a connection to a peer again, with the files as they are now.
func (w *World) Connect(client *Process, peer string) {
	client.Clients[peer] = client.Files[clientCert(client.Name, peer)]["ca.crt"]
	client.Connects = append(client.Connects, Connect{Peer: peer, At: w.At})
}

// clientCert is the Secret of the certificate with which a cluster connects to a peer: KVStoreMesh to others, agents to their own etcd.
func clientCert(client, server string) string {
	if client == server {
		return pki.SecretLocal
	}
	return remoteCert
}

// Forget takes a cluster out of the others' configurations, and Remember puts it in.
func (w *World) Forget(name string) {
	maps.DeleteFunc(w.Kept, func(pair string, _ bool) bool { return strings.Contains(pair, name) })
	for _, p := range w.Mesh {
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			secret := p.Secret(config)
			delete(secret.Data, name)
			p.Put("secrets", secret)
		}
	}
}

// Remember configures a cluster as a peer of all others.
func (w *World) Remember(name string) {
	for _, p := range w.Mesh {
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			if secret := p.Secret(config); p.Name != name {
				secret.Data[name] = peerConfig(name)
				p.Put("secrets", secret)
			}
		}
		w.Connect(p, name)
	}
}

func peerConfig(peer string) []byte {
	return []byte("endpoints:\n- https://" + peer + ".mesh.cilium.io:2379\ntrusted-ca-file: /var/lib/cilium/clustermesh/common-etcd-client-ca.crt\nkey-file: /var/lib/cilium/clustermesh/common-etcd-client.key\ncert-file: /var/lib/cilium/clustermesh/common-etcd-client.crt\n")
}

// crashed counts the requests of the process.
func (w *World) crashed(bool) bool {
	for {
		n := w.left.Load()
		if n <= 0 || w.left.CompareAndSwap(n, n-1) {
			return n == 0 || n == 1
		}
	}
}

// Members are the clusters of the mesh.
func (w *World) Members() []*clusters.Member {
	out := make([]*clusters.Member, len(w.Mesh))
	for n, p := range w.Mesh {
		out[n] = p.Member
	}
	return out
}

// Begin notes a command that ends after so many requests; negative for as long as it takes. The function that it returns ends the limit.
func (w *World) Begin(command string, requests int) func() {
	w.left.Store(int64(requests))
	w.Log = append(w.Log, fmt.Sprintf("--- %s, %d requests", command, requests))
	return func() { w.left.Store(-1) }
}

// Restarted reports whether clustermesh-apiserver was restarted.
func (p *Process) Restarted() bool { return p.meshAPI.restart != "" }
