package rotate_test

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

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

const (
	serverCert = pki.SecretServer
	remoteCert = pki.SecretRemote
)

// process models one cluster: the files that its pods see, which follow the Secrets with a delay, and what its processes have loaded of them.
type process struct {
	*server

	name    string
	member  *clusters.Member
	files   map[string]map[string][]byte // by Secret: what the kubelet has projected
	etcd    []byte                       // CA file that etcd has loaded; it does not read it again
	clients map[string][]byte            // by peer: the CA file with which the connection was built
	config  map[string]string            // by Secret: the text of the configurations that the clients have seen
	rolling int                          // ticks until the new pod of clustermesh-apiserver is ready
	restart string                       // the restart that is done or under way
}

// world is the whole mesh, with its time.
type world struct {
	t     testing.TB
	r     *rand.Rand
	at    time.Time
	mesh  []*process
	kept  map[string]bool // pairs that trusted each other at the beginning
	cache map[[2][sha256.Size]byte]bool
	// left is how many requests the process may send until it crashes; negative for never.
	left int
	log  []string
}

func (w *world) Now() time.Time { return w.at }

// Sleep lets time pass: kubelets project files, and pods start, each when it likes.
func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	w.at = w.at.Add(d)
	for _, p := range w.mesh {
		w.tick(p)
	}
	w.check("time passed")
	return ctx.Err()
}

func newWorld(t testing.TB, seed uint64, install func(name string, ca *pkitest.CA) catest.Install, names ...string) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), at: pkitest.Now, kept: map[string]bool{}, cache: map[[2][sha256.Size]byte]bool{}, left: -1}
	ca := pkitest.NewCA(t, pkitest.Spec{})
	for n, name := range names {
		in := install(name, &ca)
		p := &process{name: name, files: map[string]map[string][]byte{}, clients: map[string][]byte{}, config: map[string]string{}}
		p.server, p.member = newServer(t, name, in)
		p.member.Config.ClusterID = uint32(n + 1)
		peers := map[string][]byte{}
		for _, peer := range names {
			if peer != name {
				peers[peer] = peerConfig(peer)
			}
		}
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			secret := p.secret(config)
			secret.Data = peers
			p.put("secrets", secret)
		}
		p.crashed = w.crashed
		p.wrote = func(resource, name string) { w.wrote(p, resource, name) }
		w.mesh = append(w.mesh, p)
		w.project(p)
		p.etcd = p.files[serverCert]["ca.crt"]
		for _, peer := range names {
			p.clients[peer] = p.files[remoteCert]["ca.crt"]
		}
	}
	for _, client := range w.mesh {
		for _, server := range w.mesh {
			if why := w.handshake(client, server); why == "" {
				w.kept[client.name+" "+server.name] = true
			}
		}
	}
	return w
}

// forget takes a cluster out of the others' configurations, and remember puts it in.
func (w *world) forget(name string) {
	maps.DeleteFunc(w.kept, func(pair string, _ bool) bool { return strings.Contains(pair, name) })
	for _, p := range w.mesh {
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			secret := p.secret(config)
			delete(secret.Data, name)
			p.put("secrets", secret)
		}
	}
}

func (w *world) remember(name string) {
	for _, p := range w.mesh {
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			if secret := p.secret(config); p.name != name {
				secret.Data[name] = peerConfig(name)
				p.put("secrets", secret)
			}
		}
		p.clients[name] = p.files[remoteCert]["ca.crt"]
	}
}

func peerConfig(peer string) []byte {
	return []byte("endpoints:\n- https://" + peer + ".mesh.cilium.io:2379\ntrusted-ca-file: /var/lib/cilium/clustermesh/common-etcd-client-ca.crt\nkey-file: /var/lib/cilium/clustermesh/common-etcd-client.key\ncert-file: /var/lib/cilium/clustermesh/common-etcd-client.crt\n")
}

// crashed counts the requests of the process.
func (w *world) crashed(bool) bool {
	if w.left > 0 {
		w.left--
	}
	return w.left == 0
}

func (w *world) wrote(p *process, resource, name string) {
	w.log = append(w.log, p.name+" "+resource+"/"+name)
	w.check("a write to " + p.name + " " + resource + "/" + name)
}

// project is one sync of the kubelet: all files at once.
func (w *world) project(p *process) {
	for _, spec := range pki.LeafSpecs() {
		if secret := p.secret(spec.Secret); secret != nil {
			p.files[spec.Secret] = secret.Data
		}
	}
}

const (
	syncChance  = 3 // one in so many ticks
	rolloutTime = 3 // ticks
)

func (w *world) tick(p *process) {
	if w.r.IntN(syncChance) == 0 {
		w.project(p)
		for _, config := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
			text := ""
			for _, value := range p.secret(config).Data {
				text += string(value)
			}
			if p.config[config] != "" && p.config[config] != text { // trigger 2: the text of the configuration changed
				for peer := range p.clients {
					p.clients[peer] = p.files[remoteCert]["ca.crt"]
				}
			}
			p.config[config] = text
		}
	}
	w.roll(p)
}

// roll starts the new pod of clustermesh-apiserver after a while. It has another etcd, so that the clients of other clusters connect again, if they still can.
func (w *world) roll(p *process) {
	p.mu.Lock()
	d := catest.As[*appsv1.Deployment](p.objects["deployments/clustermesh-apiserver"]).DeepCopy()
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
	p.etcd = p.files[serverCert]["ca.crt"]
	for peer := range p.clients { // KVStoreMesh runs in the same pod
		p.clients[peer] = p.files[remoteCert]["ca.crt"]
	}
	for _, other := range w.mesh {
		if w.handshake(other, p) == "" && w.r.IntN(4) > 0 { // trigger 1, where it is not late
			other.clients[p.name] = other.files[remoteCert]["ca.crt"]
		}
	}
	d.Status.ObservedGeneration = d.Generation
	p.mu.Lock()
	p.put("deployments", d)
	p.mu.Unlock()
}

// handshake says why a client of one cluster cannot connect to another one's etcd; "" if it can. What is presented is read from the files each time.
func (w *world) handshake(client, server *process) string {
	if !w.verify(server.files[serverCert]["tls.crt"], client.clients[server.name], x509.ExtKeyUsageServerAuth) {
		return fmt.Sprintf("%s rejects the certificate of etcd in %s", client.name, server.name)
	}
	if !w.verify(client.files[remoteCert]["tls.crt"], server.etcd, x509.ExtKeyUsageClientAuth) {
		return fmt.Sprintf("etcd in %s rejects the certificate of %s", server.name, client.name)
	}
	return ""
}

func (w *world) verify(chain, pool []byte, use x509.ExtKeyUsage) bool {
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
		_, err = certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: mid, CurrentTime: w.at, KeyUsages: []x509.ExtKeyUsage{use}})
		ok = err == nil
	}
	w.cache[key] = ok
	return ok
}

// check: every pair that trusted each other at the beginning still does.
func (w *world) check(after string) {
	for _, client := range w.mesh {
		for _, server := range w.mesh {
			if !w.kept[client.name+" "+server.name] {
				continue
			}
			if why := w.handshake(client, server); why != "" {
				for _, line := range w.log {
					w.t.Log(line)
				}
				w.t.Fatalf("after %s: %s", after, why)
			}
		}
	}
}

// Running is what the rotation can see of the processes.
func (w *world) Running(_ context.Context, s *ca.State, _ time.Time) (rotate.Running, error) {
	var out rotate.Running
	for _, p := range w.mesh {
		if p.name != s.Member.Name {
			continue
		}
		if p.crashed(false) {
			return out, errCrashed
		}
		if !bytes.Equal(p.etcd, s.Secrets[serverCert].Object.Data["ca.crt"]) {
			out.EtcdBehind = append(out.EtcdBehind, "etcd has not read its CA file")
		}
		for _, other := range w.mesh {
			if !bytes.Equal(p.clients[other.name], s.Secrets[remoteCert].Object.Data["ca.crt"]) {
				out.ClientsBehind = append(out.ClientsBehind, "the client of "+other.name+" has not read its CA file")
			}
			if why := w.handshake(p, other); why != "" {
				out.Disconnected = append(out.Disconnected, rotate.Lost{Peer: other.name, Text: why})
			}
		}
		for _, secret := range []string{serverCert, remoteCert} {
			chain, err := pki.ParseCertificates(p.files[secret]["tls.crt"])
			trust, err2 := pki.ParseCertificates(p.files[secret]["ca.crt"])
			if err := errors.Join(err, err2); err != nil {
				return out, err
			}
			out.Presented = append(out.Presented, rotate.Seen{Where: secret, Certs: chain})
			out.Files = append(out.Files, rotate.Seen{Where: secret, Certs: trust})
		}
	}
	return out, nil
}

// ui answers every question with yes.
type ui struct{ t testing.TB }

func (u ui) Say(format string, args ...any)               { u.t.Logf(format, args...) }
func (u ui) Note(string, ...any)                          {}
func (u ui) Warn(string, ...any)                          {}
func (u ui) Unread(...*clusters.Member) []string          { return nil }
func (u ui) Unseen([]*clusters.Member)                    {}
func (u ui) Confirm(context.Context, string) error        { return nil }
func (u ui) Progress() (func(change.Event), func())       { return nil, func() {} }
func (u ui) Show(func(bool) []output.Section, bool) error { return nil }

// run is one command, which ends after so many requests; negative for as long as it takes.
func (w *world) run(action rotate.Action, method rotate.Method, requests int) (rotate.Report, error) {
	w.left = requests
	defer func() { w.left = -1 }()
	w.log = append(w.log, fmt.Sprintf("--- %s, %d requests", action, requests))
	members := make([]*clusters.Member, len(w.mesh))
	for n, p := range w.mesh {
		members[n] = p.member
	}
	c := rotate.Config{
		Write:  kernel.Write{DryRun: cli.DryRunNone, Manager: "mesh-ca", Change: change.Options{Timeout: time.Minute, AccessOnly: true}},
		Action: action, Select: func(context.Context) (*clusters.Selection, error) { return &clusters.Selection{Members: members}, nil },
		Observer: w, Clock: w, Who: "test", ID: fmt.Sprint("run-", len(w.log)), Method: string(method), Wait: 20 * time.Minute, Poll: 10 * time.Second,
		Show: func(rotate.Report, bool) []output.Section { return nil },
	}
	return rotate.Run(w.t.Context(), c, ui{w.t})
}

// everything reports the kind of every Secret at the end.
func (w *world) ends(old bool, first *x509.Certificate) {
	w.t.Helper()
	for _, p := range w.mesh {
		authority, err := pki.ParseCA(p.secret(pki.SecretCA).Data)
		if err != nil || authority.Key != pki.KeyMatches || authority.Signer().Equal(first) != old || len(authority.Chain) != 1 {
			w.t.Errorf("%s: cilium-ca: %v, %d certificates, old %t", p.name, err, len(authority.Chain), authority.Signer().Equal(first))
		}
		for _, spec := range pki.LeafSpecs() {
			secret := p.secret(spec.Secret)
			if secret == nil {
				continue
			}
			leaf, err := pki.ParseLeaf(secret.Data)
			if err != nil || len(leaf.Chain) != 1 || len(leaf.Trust) != 1 || leaf.Key != pki.KeyMatches || !leaf.SignedBy(authority.Signer()) || !leaf.Trust[0].Equal(authority.Signer()) {
				w.t.Errorf("%s: %s: %v, %d in the chain, %d trusted", p.name, spec.Secret, err, len(leaf.Chain), len(leaf.Trust))
			}
		}
		for _, left := range []string{"secrets/" + rotate.SecretNew, "configmaps/" + rotate.ConfigMapLock} {
			if p.objects[left] != nil {
				w.t.Errorf("%s: %s is left", p.name, left)
			}
		}
		if !old && p.secret(ca.BackupName(pki.Fingerprint(first))) == nil {
			w.t.Errorf("%s: the previous CA is not kept", p.name)
		}
	}
}
