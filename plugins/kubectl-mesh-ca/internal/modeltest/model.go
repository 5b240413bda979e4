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
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

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

// Process models one cluster: the files that its pods see, which follow the Secrets with a delay, and what its processes have loaded of them.
type Process struct {
	*Server

	Name    string
	Member  *clusters.Member
	Files   map[string]map[string][]byte // by Secret: what the kubelet has projected
	Etcd    []byte                       // CA file that etcd has loaded; it does not read it again
	Clients map[string][]byte            // by peer: the CA file with which the connection was built
	config  map[string]string            // by Secret: the text of the configurations that the clients have seen
	rolling int                          // ticks until the new pod of clustermesh-apiserver is ready
	restart string                       // the restart that is done or under way
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
	cache  map[[2][sha256.Size]byte]bool
	// left is how many requests the process may send until it crashes; negative for never.
	Left int
	Log  []string
}

// Now is the time of the model.
func (w *World) Now() time.Time { return w.At }

// Sleep lets time pass: kubelets project files, and pods start, each when it likes.
func (w *World) Sleep(ctx context.Context, d time.Duration) error {
	w.At = w.At.Add(d)
	for _, p := range w.Mesh {
		w.tick(p)
	}
	w.check("time passed")
	return ctx.Err()
}

// New makes a mesh. The clusters have one CA, which install may use or not.
func New(t testing.TB, seed uint64, install func(name string, ca *pkitest.CA) catest.Install, names ...string) *World {
	random := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a test that can be repeated
	w := &World{T: t, R: random, At: pkitest.Now, Kept: map[string]bool{}, cache: map[[2][sha256.Size]byte]bool{}, Left: -1}
	ca := pkitest.NewCA(t, pkitest.Spec{})
	for n, name := range names {
		in := install(name, &ca)
		p := &Process{Name: name, Files: map[string]map[string][]byte{}, Clients: map[string][]byte{}, config: map[string]string{}}
		p.Server, p.Member = NewServer(t, name, in)
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
		w.Adopt(p)
		w.project(p)
		p.Etcd = p.Files[serverCert]["ca.crt"]
		for _, peer := range names {
			p.Clients[peer] = p.Files[remoteCert]["ca.crt"]
		}
	}
	for _, client := range w.Mesh {
		for _, server := range w.Mesh {
			if why := w.Handshake(client, server); why == "" {
				w.Kept[client.Name+" "+server.Name] = true
			}
		}
	}
	return w
}

// Adopt adds a cluster to the mesh.
func (w *World) Adopt(p *Process) {
	p.crashed = w.crashed
	p.wrote = func(resource, name string) { w.Wrote(p, resource, name) }
	w.Mesh = append(w.Mesh, p)
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
		p.Clients[name] = p.Files[remoteCert]["ca.crt"]
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
	w.Log = append(w.Log, p.Name+" "+resource+"/"+name)
	w.check("a write to " + p.Name + " " + resource + "/" + name)
}

// project is one sync of the kubelet: all files at once.
func (w *World) project(p *Process) {
	for _, spec := range pki.LeafSpecs() {
		if secret := p.Secret(spec.Secret); secret != nil {
			p.Files[spec.Secret] = secret.Data
		}
	}
}

const (
	syncChance  = 3 // one in so many ticks
	rolloutTime = 3 // ticks
)

func (w *World) tick(p *Process) {
	if w.R.IntN(syncChance) == 0 {
		w.project(p)
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			text := ""
			for _, value := range p.Secret(config).Data {
				text += string(value)
			}
			if p.config[config] != "" && p.config[config] != text { // trigger 2: the text of the configuration changed
				for peer := range p.Clients {
					p.Clients[peer] = p.Files[remoteCert]["ca.crt"]
				}
			}
			p.config[config] = text
		}
	}
	w.roll(p)
}

// roll starts the new pod of clustermesh-apiserver after a while. It has another etcd, so that the clients of other clusters connect again, if they still can.
func (w *World) roll(p *Process) {
	p.mu.Lock()
	d := catest.As[*appsv1.Deployment](p.Objects["deployments/clustermesh-apiserver"]).DeepCopy()
	p.mu.Unlock()
	want := d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"]
	if want == p.restart && p.rolling == 0 {
		return
	}
	if want != p.restart {
		p.restart, p.rolling = want, rolloutTime
		return
	}
	if p.rolling--; p.rolling > 0 {
		return
	}
	w.project(p) // a new pod gets the Secrets as they are
	p.Etcd = p.Files[serverCert]["ca.crt"]
	for peer := range p.Clients { // KVStoreMesh runs in the same pod
		p.Clients[peer] = p.Files[remoteCert]["ca.crt"]
	}
	for _, other := range w.Mesh {
		if w.Handshake(other, p) == "" && w.R.IntN(4) > 0 { // trigger 1, where it is not late
			other.Clients[p.Name] = other.Files[remoteCert]["ca.crt"]
		}
	}
	d.Status.ObservedGeneration = d.Generation
	p.mu.Lock()
	p.Put("deployments", d)
	p.mu.Unlock()
}

// Handshake says why a client of one cluster cannot connect to another one's etcd; "" if it can. What is presented is read from the files each time.
func (w *World) Handshake(client, server *Process) string {
	if !w.verify(server.Files[serverCert]["tls.crt"], client.Clients[server.Name], x509.ExtKeyUsageServerAuth) {
		return fmt.Sprintf("%s rejects the certificate of etcd in %s", client.Name, server.Name)
	}
	if !w.verify(client.Files[remoteCert]["tls.crt"], server.Etcd, x509.ExtKeyUsageClientAuth) {
		return fmt.Sprintf("etcd in %s rejects the certificate of %s", server.Name, client.Name)
	}
	return ""
}

func (w *World) verify(chain, pool []byte, use x509.ExtKeyUsage) bool {
	key := [2][sha256.Size]byte{sha256.Sum256(chain), sha256.Sum256(append(bytes.Clone(pool), byte(use)))}
	ok, known := w.cache[key]
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
	w.cache[key] = ok
	return ok
}

// check: every pair of Kept still trusts each other.
func (w *World) check(after string) {
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
				w.T.Fatalf("after %s: %s", after, why)
			}
		}
	}
}

// Running is what a command can see of the processes.
func (w *World) Running(_ context.Context, s *ca.State, _ time.Time) (rotate.Running, error) {
	var out rotate.Running
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
			if !bytes.Equal(p.Clients[other.Name], s.Secrets[remoteCert].Object.Data["ca.crt"]) {
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
			if w.Doubts > 0 && secret == serverCert && w.R.IntN(w.Doubts) == 0 {
				chain, out.EtcdUnknown = nil, append(out.EtcdUnknown, "etcd could not be asked")
			}
			out.Presented = append(out.Presented, rotate.Seen{Where: secret, Certs: chain})
			out.Files = append(out.Files, rotate.Seen{Where: secret, Certs: trust})
		}
	}
	return out, nil
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
func (p *Process) Restarted() bool { return p.restart != "" }
