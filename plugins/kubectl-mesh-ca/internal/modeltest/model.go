// Package modeltest is a model of a mesh in which certificates change: API servers with versions and conflicts, kubelets that project files late, etcd, which
// reads its CA file only at start, and clients, which keep the CA file with which they connected. It is imported by tests only.
package modeltest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
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
	// left is how many requests the process may send until it crashes; negative for never.
	Left int
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
	if w.Left == 0 {
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
	return &World{T: t, R: random, At: at, Kept: map[string]bool{}, cache: map[[2][sha256.Size]byte]bool{}, Left: -1, Fail: t.Fatalf}
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
	if w.Left > 0 {
		w.Left--
	}
	return w.Left == 0
}

// Wrote notes a write, and checks the mesh after it.
func (w *World) Wrote(p *Process, resource, name string) {
	line := p.Name + " " + resource + "/" + name
	w.Log = append(w.Log, line)
	if w.Stop != nil && w.Stop(line) {
		w.Left = 0
	}
	w.Check("a write to " + p.Name + " " + resource + "/" + name)
}

// project is one sync of the kubelet: all files at once.
func (w *World) project(p *Process) {
	for _, spec := range pki.LeafSpecs() {
		secret := p.Source.Secret(spec.Secret)
		if secret == nil || maps.EqualFunc(p.Files[spec.Secret], secret.Data, bytes.Equal) {
			continue
		}
		p.Files[spec.Secret], p.Written[spec.Secret] = secret.Data, w.At
	}
}

const (
	syncChance  = 3 // one in so many ticks
	rolloutTime = 3 // ticks
)

func (w *World) tick(p *Process) {
	w.Sync(p)
	w.roll(p)
	w.runJobs(p)
}

// Sync is one tick of a kubelet and of the clients that read what it has written.
func (w *World) Sync(p *Process) {
	if w.R.IntN(syncChance) > 0 {
		return
	}
	w.project(p)
	for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
		secret := p.Source.Secret(config)
		if secret == nil {
			continue
		}
		text := ""
		for _, peer := range slices.Sorted(maps.Keys(secret.Data)) {
			text += string(secret.Data[peer])
		}
		if p.config[config] != "" && p.config[config] != text { // trigger 2: the text of the configuration changed
			for _, peer := range slices.Sorted(maps.Keys(p.Clients)) {
				w.Connect(p, peer)
			}
		}
		p.config[config] = text
	}
}

// rollout is the restart of a workload that is done or under way.
type rollout struct {
	restart string
	ticks   int
}

// due reports whether the new pods are ready now.
func (r *rollout) due(restartedAt string) bool {
	switch {
	case restartedAt != r.restart:
		r.restart, r.ticks = restartedAt, rolloutTime
		return false
	case r.ticks == 0:
		return false
	}
	r.ticks--
	return r.ticks == 0
}

const restartedAt = "kubectl.kubernetes.io/restartedAt"

// roll starts the new pods of clustermesh-apiserver and of the agents after a while. clustermesh-apiserver has another etcd then, so that the clients of other
// clusters connect again, if they still can.
func (w *World) roll(p *Process) {
	p.mu.Lock()
	d := catest.As[*appsv1.Deployment](p.Objects["deployments/clustermesh-apiserver"]).DeepCopy()
	ds := catest.As[*appsv1.DaemonSet](p.Objects["daemonsets/cilium"]).DeepCopy()
	p.mu.Unlock()
	if p.meshAPI.due(d.Spec.Template.Annotations[restartedAt]) {
		w.Evict(p)
		d.Status.ObservedGeneration = d.Generation
		p.mu.Lock()
		p.Put("deployments", d)
		p.mu.Unlock()
	}
	if p.agents.due(ds.Spec.Template.Annotations[restartedAt]) {
		w.AgentStarted(p)
		ds.Status.ObservedGeneration = ds.Generation
		p.mu.Lock()
		p.Put("daemonsets", ds)
		p.mu.Unlock()
	}
}

// Evict replaces the pod of clustermesh-apiserver, as a node does that is drained.
func (w *World) Evict(p *Process) {
	w.Started(p)
	p.mu.Lock()
	p.etcdStarted = w.At
	p.mu.Unlock()
}

// Started is what a new pod of clustermesh-apiserver does: it gets the Secrets as they are, and clients find another etcd.
func (w *World) Started(p *Process) {
	w.project(p)
	p.Etcd = p.Files[serverCert]["ca.crt"]
	for _, peer := range slices.Sorted(maps.Keys(p.Clients)) { // KVStoreMesh runs in the same pod
		if peer != p.Name {
			w.Connect(p, peer)
		}
	}
	for _, other := range w.Mesh {
		if w.Handshake(other, p) == "" && w.R.IntN(4) > 0 { // trigger 1, where it is not late
			w.Connect(other, p.Name)
		}
	}
}

// AgentStarted is what a new agent does: it gets the Secrets as they are, and connects to the etcd of its own cluster.
func (w *World) AgentStarted(p *Process) {
	w.project(p)
	w.Connect(p, p.Name)
}

// Handshake says why a client of one cluster cannot connect to another one's etcd; "" if it can. What is presented is read from the files each time.
func (w *World) Handshake(client, server *Process) string {
	if !w.verify(server.Files[serverCert]["tls.crt"], client.Clients[server.Name], x509.ExtKeyUsageServerAuth) {
		return fmt.Sprintf("%s rejects the certificate of etcd in %s", client.Name, server.Name)
	}
	if !w.verify(client.Files[clientCert(client.Name, server.Name)]["tls.crt"], server.Etcd, x509.ExtKeyUsageClientAuth) {
		return fmt.Sprintf("etcd in %s rejects the certificate of %s", server.Name, client.Name)
	}
	return ""
}

func (w *World) verify(chain, pool []byte, use x509.ExtKeyUsage) bool {
	key := [2][sha256.Size]byte{sha256.Sum256(chain), sha256.Sum256(append(bytes.Clone(pool), byte(use)))}
	w.mu.Lock()
	ok, known := w.cache[key]
	w.mu.Unlock()
	if known {
		return ok
	}
	certs, err := pki.ParseCertificates(chain)
	roots, mid := x509.NewCertPool(), x509.NewCertPool()
	if err == nil && roots.AppendCertsFromPEM(pool) {
		for _, c := range certs[1:] {
			mid.AddCert(c)
		}
		_, err = certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: mid, CurrentTime: w.At, KeyUsages: []x509.ExtKeyUsage{use}})
		ok = err == nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cache[key] = ok
	return ok
}

// Check fails where a pair of Kept does not trust each other any more.
func (w *World) Check(after string) {
	for _, client := range w.Mesh {
		for _, server := range w.Mesh {
			pair := client.Name + " " + server.Name
			if !w.Kept[pair] && !w.Grows {
				continue
			}
			why := w.Handshake(client, server)
			if why == "" {
				w.Kept[pair] = true
			}
			if w.Kept[pair] && why != "" {
				for _, line := range w.Log {
					w.T.Log(line)
				}
				w.Fail("after %s: %s", after, why)
			}
		}
	}
}

// Running is what a command can see of the processes.
func (w *World) Running(_ context.Context, s *ca.State, _ rotate.Look) (rotate.Running, error) {
	out := rotate.Running{Agents: 1}
	for _, p := range w.Mesh {
		if p.Name != s.Member.Name {
			continue
		}
		if p.crashed(false) {
			return out, errCrashed
		}
		if !bytes.Equal(p.Etcd, s.Secrets[serverCert].Object.Data["ca.crt"]) {
			out.EtcdBehind = append(out.EtcdBehind, "etcd has not read its CA file")
		}
		for _, other := range w.Mesh {
			if !bytes.Equal(p.Clients[other.Name], s.Secrets[clientCert(p.Name, other.Name)].Object.Data["ca.crt"]) {
				out.ClientsBehind = append(out.ClientsBehind, "the client of "+other.Name+" has not read its CA file")
				out.Clients = append(out.Clients, rotate.Client{Peer: other.Name, Text: "it has not read its CA file", Behind: true})
			}
			if why := w.Handshake(p, other); why != "" {
				out.Disconnected = append(out.Disconnected, rotate.Lost{Peer: other.Name, Text: why})
				out.Clients = append(out.Clients, rotate.Client{Peer: other.Name, Text: why, Disconnected: true})
			}
		}
		for _, secret := range []string{serverCert, remoteCert} {
			chain, err := pki.ParseCertificates(p.Files[secret]["tls.crt"])
			trust, err2 := pki.ParseCertificates(p.Files[secret]["ca.crt"])
			if err := errors.Join(err, err2); err != nil {
				return out, err
			}
			if secret == serverCert && w.doubts() {
				chain, out.EtcdUnknown = nil, append(out.EtcdUnknown, "etcd could not be asked")
			}
			out.Presented = append(out.Presented, rotate.Seen{Where: secret, Certs: chain})
			out.Files = append(out.Files, rotate.Seen{Where: secret, Certs: trust})
		}
	}
	return out, nil
}

// doubts reports whether an etcd cannot be asked this time.
func (w *World) doubts() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Doubts > 0 && w.R.IntN(w.Doubts) == 0
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
	w.Left = requests
	w.Log = append(w.Log, fmt.Sprintf("--- %s, %d requests", command, requests))
	return func() { w.Left = -1 }
}

// Restarted reports whether clustermesh-apiserver was restarted.
func (p *Process) Restarted() bool { return p.meshAPI.restart != "" }
