package federate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a mesh whose clusters have CAs of their own, all with the same subject, one half of them RSA.
type world struct {
	*modeltest.World

	cas map[string]pkitest.CA
}

func newWorld(t testing.TB, method string, names ...string) *world {
	return newWorldOf(t, func(string, int) catest.Install { return install(method) }, names...)
}

func install(method string) catest.Install {
	in := catest.Install{Method: method}
	if method == "certgen" {
		in.CronJobs = []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}
	}
	return in
}

func newWorldOf(t testing.TB, of func(name string, n int) catest.Install, names ...string) *world {
	w := &world{cas: map[string]pkitest.CA{}}
	w.World = modeltest.New(t, 1, func(name string, _ *pkitest.CA) catest.Install {
		in := of(name, len(w.cas))
		if in.CA == nil {
			own := pkitest.NewCA(t, pkitest.Spec{RSA: len(w.cas)%2 == 1, Encoding: pkitest.Encoding(len(w.cas) % 2 * int(pkitest.PKCS1))})
			in.CA = &own
		}
		w.cas[name] = *in.CA
		return in
	}, names...)
	w.Grows = true
	return w
}

func (w *world) run(requests int, edit func(*federate.Config)) (v1alpha1.FederationReport, error) {
	defer w.Begin("federate", requests)()
	members := w.Members()
	c := federate.Config{
		Write: modeltest.Write(), Action: federate.Federate, Observer: w.World, Clock: w.World, Who: "test", ID: fmt.Sprint("run-", len(w.Log)),
		Select: func(context.Context) (*clusters.Selection, error) { return &clusters.Selection{Members: members}, nil },
		Wait:   20 * time.Minute, Poll: 10 * time.Second, Show: func(v1alpha1.FederationReport) []output.Section { return nil },
	}
	if edit != nil {
		edit(&c)
	}
	report, err := federate.Run(w.T.Context(), c, modeltest.UI{T: w.T})
	documents.CheckValue(w.T, report)
	return report, err
}

func (w *world) federate() v1alpha1.FederationReport {
	w.T.Helper()
	report, err := w.run(-1, nil)
	if err != nil {
		w.T.Fatalf("%v (%v)", err, report.Waiting)
	}
	return report
}

// unstable is an observer that fails for so many requests, once something was written.
type unstable struct {
	*modeltest.World

	fails int
}

func (u *unstable) Running(ctx context.Context, s *ca.State, look rotate.Look) (rotate.Running, error) {
	if len(u.Log) > 3 && u.fails > 0 {
		u.fails--
		return rotate.Running{}, errors.New("connection refused")
	}
	return u.World.Running(ctx, s, look)
}

// TestUnstable: a cluster that does not answer for a while is waited for, not longer than --wait.
func TestUnstable(t *testing.T) {
	t.Parallel()
	for fails, want := range map[int]string{7: "", 10000: `"us": what its processes do could not be observed: connection refused. --wait 0 does not observe them. What was written is safe; to go on, run: kubectl mesh-ca federate`} {
		w := newWorld(t, "certgen", "us", "eu")
		_, err := w.run(-1, func(c *federate.Config) { c.Observer = &unstable{w.World, fails} })
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d failures: %v", fails, err)
		}
	}
}

// leafSecrets are the leaf Secrets of a cluster.
func leafSecrets(p *modeltest.Process) map[string]map[string][]byte {
	out := map[string]map[string][]byte{}
	for _, spec := range pki.LeafSpecs() {
		if s := p.Secret(spec.Secret); s != nil {
			out[spec.Secret] = s.Data
		}
	}
	return out
}

// trusted: every leaf certificate of every cluster verifies by every CA file of every other one, with Go's verifier, and so do real handshakes in both
// directions between every etcd and every client.
func (w *world) trusted(when string) {
	w.T.Helper()
	verified := 0
	for _, a := range w.Mesh {
		for _, b := range w.Mesh {
			for name, leaf := range leafSecrets(a) {
				for other, data := range leafSecrets(b) {
					certs, err := pki.ParseCertificates(leaf["tls.crt"])
					must(w.T, err)
					roots, mid := x509.NewCertPool(), x509.NewCertPool()
					roots.AppendCertsFromPEM(data["ca.crt"])
					for _, c := range certs[1:] {
						mid.AddCert(c)
					}
					if _, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: mid, CurrentTime: w.At, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
						w.T.Fatalf("%s: %s of %s at %s of %s: %v", when, name, a.Name, other, b.Name, err)
					}
					verified++
				}
			}
			if err := w.handshake(a, b); err != nil {
				w.T.Fatalf("%s: %s to %s: %v", when, a.Name, b.Name, err)
			}
		}
	}
	if want := len(w.Mesh) * len(w.Mesh) * 36; verified != want {
		w.T.Fatalf("%d verified, want %d", verified, want)
	}
}

// handshake is a real one, of a client with the certificate of one cluster and the etcd of another one.
func (w *world) handshake(client, server *modeltest.Process) error {
	config := func(p *modeltest.Process, secret string) *tls.Config {
		data := p.Secret(secret).Data
		pair, err := tls.X509KeyPair(data["tls.crt"], data["tls.key"])
		must(w.T, err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(data["ca.crt"])
		return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
			ServerName: server.Name + ".mesh.cilium.io", Time: func() time.Time { return w.At }}
	}
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	listener := tls.Server(there, config(server, pki.SecretServer))
	done := make(chan error, 1)
	go func() { done <- listener.HandshakeContext(context.Background()) }()
	if err := tls.Client(here, config(client, pki.SecretRemote)).HandshakeContext(w.T.Context()); err != nil {
		return err
	}
	go func() { _, _ = here.Read(make([]byte, 1)) }() // with TLS 1.3 the server's answer comes after the client is done
	return <-done
}

// issue imitates the owner's next run in one cluster: Helm's genSignedCert, or certgen (docs/rotation.md). Hubble's leaf certificates are issued as well.
func (w *world) issue(p *modeltest.Process, method string) {
	w.T.Helper()
	chain, err := pki.ParseCertificates(p.Secret(pki.SecretCA).Data["ca.crt"])
	must(w.T, err)
	signer, err := pki.ParseSigner(p.Secret(pki.SecretCA).Data)
	must(w.T, err)
	if !signer.Cert.Equal(chain[0]) {
		w.T.Fatal("the key of cilium-ca does not fit its first certificate")
	}
	for _, spec := range pki.LeafSpecs() {
		secret := p.Secret(spec.Secret)
		if secret == nil {
			continue
		}
		old, err := pki.ParseLeaf(secret.Data)
		must(w.T, err)
		made, err := signer.Reissue(old.Cert(), w.At)
		must(w.T, err)
		sent, trust := []*x509.Certificate{made.Cert}, chain
		if method == "certgen" {
			sent, trust = append(sent, chain[:len(chain)-1]...), chain[len(chain)-1:]
		}
		secret.Data = map[string][]byte{"tls.crt": pki.EncodeCertificates(sent...), "tls.key": made.KeyPEM(), "ca.crt": pki.EncodeCertificates(trust...)}
		p.Put("secrets", secret)
	}
}

// same reports the first difference of a cluster's certificates from those of another moment.
func same(t *testing.T, before, after map[string]map[string][]byte) {
	t.Helper()
	for name, data := range before {
		for key := range data {
			if !bytes.Equal(data[key], after[name][key]) {
				t.Errorf("%s: %s is not as it was", name, key)
			}
		}
	}
}

func everything(p *modeltest.Process) map[string]map[string][]byte {
	out := leafSecrets(p)
	out[pki.SecretCA] = p.Secret(pki.SecretCA).Data
	return out
}

// TestFederate: with each owner, clusters with different CAs trust each other; they still do after the owner has issued again, in any order of the clusters;
// another run changes nothing; and --off restores every byte.
func TestFederate(t *testing.T) {
	t.Parallel()
	names := []string{"us", "eu", "ap", "sa"}
	for _, method := range []string{"helm", "certgen", "hand"} {
		for _, n := range []int{2, 4} {
			t.Run(fmt.Sprint(method, " ", n), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, method, names[:n]...)
				before := map[string]map[string]map[string][]byte{}
				for _, p := range w.Mesh {
					before[p.Name] = everything(p)
				}
				report := w.federate()
				w.trusted("federated")
				if want := map[string]string{"helm": "ca-certificates"}[method]; report.Recipe != want && report.Recipe != "cross-certificates" || len(report.Waiting) > 0 {
					t.Errorf("%s, %v", report.Recipe, report.Waiting)
				}
				for _, p := range w.Mesh {
					restarted := p.Restarted()
					if restarted != (method == "helm") {
						t.Errorf("%s: restarted %t", p.Name, restarted)
					}
					if method != "hand" && p.Secret(ca.BackupName(pki.Fingerprint(w.cas[p.Name].Cert))) == nil {
						t.Errorf("%s: cilium-ca is not kept", p.Name)
					}
					if !bytes.Equal(p.Secret(pki.SecretCA).Data["ca.key"], w.cas[p.Name].KeyPEM) {
						t.Errorf("%s: the key changed", p.Name)
					}
				}
				w.onlyOwnKeys()
				if again := w.federate(); len(again.Changes) > 0 {
					t.Errorf("another run changed %v", again.Changes)
				}
				if method != "hand" {
					for _, p := range slices.Backward(w.Mesh) {
						w.issue(p, method)
						must(t, w.Sleep(t.Context(), time.Minute)) // the model looks at what the processes have loaded
						w.trusted("issued again in " + p.Name)
					}
					if again := w.federate(); len(again.Changes) > 0 {
						t.Errorf("a run after the owners' changed %v", again.Changes)
					}
				}
				w.off(before, method == "hand")
			})
		}
	}
}

// TestDifferentOwners: Helm, nobody, and Helm again with the CA of the first cluster. What lasts with Helm is done in all of them.
func TestDifferentOwners(t *testing.T) {
	t.Parallel()
	shared := pkitest.NewCA(t, pkitest.Spec{})
	w := newWorldOf(t, func(name string, _ int) catest.Install {
		if name == "eu" {
			return catest.Install{Method: "hand"}
		}
		return catest.Install{CA: &shared}
	}, "us", "eu", "ap")
	report := w.federate()
	w.trusted("federated")
	if report.Recipe != string(federate.Roots) || !slices.ContainsFunc(report.UndoSteps, func(s v1alpha1.NextStep) bool { return strings.Contains(s.Command, "restore --in us") }) {
		t.Errorf("%s, %v", report.Recipe, report.UndoSteps)
	}
	if chain, err := pki.ParseCertificates(w.Mesh[2].Secret(pki.SecretServer).Data["tls.crt"]); err != nil || len(chain) != 2 {
		t.Errorf("a cluster sends a cross certificate for the CA that it has itself: %v, %d", err, len(chain))
	}
	for _, name := range []int{2, 0} {
		w.issue(w.Mesh[name], "helm")
		must(t, w.Sleep(t.Context(), time.Minute))
		w.trusted("issued again")
	}
}

// TestRenewedCA: a CA was issued again under its key, for longer. Cross certificates that end too early are made again.
func TestRenewedCA(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, func(string, int) catest.Install {
		own := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(100 * pkitest.Day)})
		return catest.Install{CA: &own, Method: "certgen", CronJobs: []string{"clustermesh-apiserver-generate-certs"}}
	}, "us", "eu")
	w.federate()
	for _, p := range w.Mesh {
		secret := p.Secret(pki.SecretCA)
		chain, err := pki.ParseCertificates(secret.Data["ca.crt"])
		must(t, err)
		longer := pkitest.NewCA(t, pkitest.Spec{Key: w.cas[p.Name].Key, NotAfter: pkitest.Now.Add(1000 * pkitest.Day)})
		secret.Data["ca.crt"] = pki.EncodeCertificates(chain[0], longer.Cert)
		p.Put("secrets", secret)
	}
	w.federate()
	w.trusted("federated again")
	chain, err := pki.ParseCertificates(w.Mesh[0].Secret(pki.SecretServer).Data["tls.crt"])
	must(t, err)
	if len(chain) != 2 || chain[1].NotAfter.Before(pkitest.Now.Add(900*pkitest.Day)) {
		t.Errorf("%d in the chain, until %s", len(chain), chain[1].NotAfter)
	}
}

// onlyOwnKeys: no private key of one cluster is in another one.
func (w *world) onlyOwnKeys() {
	w.T.Helper()
	for _, p := range w.Mesh {
		for object, obj := range p.Objects {
			secret, ok := obj.(*corev1.Secret)
			for name, own := range w.cas {
				for _, data := range dataOf(secret, ok) {
					if name != p.Name && bytes.Contains(data, own.KeyPEM) {
						w.T.Errorf("%s: %s contains the key of %s", p.Name, object, name)
					}
				}
			}
		}
	}
}

func dataOf(secret *corev1.Secret, ok bool) [][]byte {
	if !ok {
		return nil
	}
	return slices.Collect(maps.Values(secret.Data))
}

// off separates the clusters. Leaf certificates that were not issued again are as they were.
func (w *world) off(before map[string]map[string]map[string][]byte, withLeaf bool) {
	t := w.T.(*testing.T)
	t.Helper()
	off := func(c *federate.Config) { c.Action = federate.Off }
	if _, err := w.run(-1, off); err == nil || !strings.Contains(err.Error(), "--allow-disconnect") {
		t.Fatalf("clusters that are connected were separated: %v", err)
	}
	w.Grows, w.Kept = false, map[string]bool{}
	for _, p := range w.Mesh {
		w.Kept[p.Name+" "+p.Name] = true
	}
	if report, err := w.run(-1, func(c *federate.Config) { off(c); c.AllowDisconnect = true }); err != nil {
		t.Fatal(err, report.Waiting)
	}
	w.settle()
	for _, p := range w.Mesh {
		same(t, map[string]map[string][]byte{pki.SecretCA: before[p.Name][pki.SecretCA]}, everything(p))
		if withLeaf {
			same(t, before[p.Name], everything(p))
		}
		for name, data := range leafSecrets(p) {
			leaf, err := pki.ParseLeaf(data)
			if err != nil || len(leaf.Chain) != 1 || len(leaf.Trust) != 1 {
				t.Errorf("%s: %s: %v, %d in the chain, %d trusted", p.Name, name, err, len(leaf.Chain), len(leaf.Trust))
			}
		}
		for _, other := range w.Mesh {
			if p != other && w.Handshake(p, other) == "" {
				t.Errorf("%s and %s still trust each other", p.Name, other.Name)
			}
		}
	}
}

// settle lets all kubelets project what the Secrets have.
func (w *world) settle() {
	w.T.Helper()
	for range 40 {
		must(w.T, w.Sleep(context.Background(), time.Second))
	}
}

// TestJoin: a cluster joins. All clusters change, and those that were there lose nothing. Separating it leaves the others federated.
func TestJoin(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"helm", "certgen"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, method, "us", "eu", "ap")
			// ap is a peer already, and not connected. That does not keep the others waiting.
			if report, err := w.run(-1, func(c *federate.Config) { c.In = []string{"us", "eu"} }); err != nil || w.Handshake(w.Mesh[0], w.Mesh[1]) != "" {
				t.Fatal(err, report.Waiting)
			}
			report := w.federate()
			w.trusted("joined")
			changed := map[string]bool{}
			for _, c := range report.Changes {
				changed[c.Cluster] = changed[c.Cluster] || c.Object == "secret/"+pki.SecretServer
			}
			if len(changed) != 3 || !changed["us"] || !changed["ap"] {
				t.Errorf("changed: %v", changed)
			}
			w.Grows, w.Kept = false, map[string]bool{"us us": true, "eu eu": true, "ap ap": true, "us eu": true, "eu us": true, "eu ap": true, "ap eu": true}
			_, err := w.run(-1, func(c *federate.Config) { c.Action, c.In, c.AllowDisconnect = federate.Off, []string{"us", "ap"}, true })
			if method == "helm" { // eu's CA signed a cross certificate of ap, and us trusts it
				if err == nil || !strings.Contains(err.Error(), "by the CA of a third cluster") {
					t.Fatal(err)
				}
				return
			}
			must(t, err)
			w.settle()
			if w.Handshake(w.Mesh[0], w.Mesh[2]) == "" {
				t.Error("us and ap still trust each other")
			}
		})
	}
}

// TestInterrupted cuts the command after a number of requests, and then lets another one go on. Pairs that trust each other never lose it. With
// MESH_CA_EVERY_CUT it cuts after every request, which takes some 20 minutes.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"helm", "certgen"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			cuts := 0
			step := func(requests int) int { return 1 + requests/6 }
			if os.Getenv("MESH_CA_EVERY_CUT") != "" {
				step = func(int) int { return 1 }
			}
			for requests := 1; ; requests += step(requests) {
				w := newWorld(t, method, "us", "eu")
				_, err := w.run(requests, nil)
				if err == nil {
					break
				}
				cuts++
				w.At = w.At.Add(5 * time.Minute) // a run that was killed counts as alive for a while
				w.federate()
				w.trusted(fmt.Sprint("cut after ", requests))
				for _, p := range w.Mesh {
					if p.Objects["configmaps/"+ca.ConfigMapFederation] != nil {
						t.Fatalf("cut after %d: the lock is left", requests)
					}
				}
			}
			if cuts < 15 {
				t.Errorf("only %d cuts", cuts)
			}
		})
	}
}

// TestLock: of two runs only one writes.
func TestLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "helm", "us", "eu")
	if _, err := w.run(300, nil); err == nil {
		t.Fatal("it was not cut")
	}
	if w.Mesh[0].Objects["configmaps/"+ca.ConfigMapFederation] == nil {
		t.Fatal("there is no lock")
	}
	before := everything(w.Mesh[0])
	if _, err := w.run(-1, nil); err == nil || !strings.Contains(err.Error(), "counts as alive") {
		t.Fatal(err)
	}
	same(t, before, everything(w.Mesh[0]))
}

// TestLockByTheClockOfTheCluster: whether a run counts as alive does not depend on the clocks of the machines.
func TestLockByTheClockOfTheCluster(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ writer, reader time.Duration }{
		"the reader ahead": {0, 20 * time.Minute}, "the writer ahead": {20 * time.Minute, 0}, "the writer late": {-20 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "helm", "us", "eu")
			if _, err := w.run(300, w.ahead(c.writer)); err == nil || w.Mesh[0].Objects["configmaps/"+ca.ConfigMapFederation] == nil {
				t.Fatal("it was not cut, or there is no lock")
			}
			if _, err := w.run(-1, w.ahead(c.reader)); err == nil || !strings.Contains(err.Error(), "counts as alive") {
				t.Error(err)
			}
			must(t, w.Sleep(t.Context(), 3*time.Minute))
			if _, err := w.run(-1, w.ahead(c.reader)); err != nil {
				t.Error(err)
			}
		})
	}
}

// ahead makes the clock of the machine that runs the command wrong.
func (w *world) ahead(d time.Duration) func(*federate.Config) {
	return func(c *federate.Config) {
		members := w.Members()
		for n, m := range members {
			members[n] = m.WithSkew(clusters.Skew{Low: -d - time.Second/2, High: -d + time.Second/2})
		}
		c.Select = func(context.Context) (*clusters.Selection, error) { return &clusters.Selection{Members: members}, nil }
		c.Clock = machine{w.World, d}
	}
}

// machine is a clock that is wrong.
type machine struct {
	*modeltest.World

	ahead time.Duration
}

func (m machine) Now() time.Time { return m.World.Now().Add(m.ahead) }

// TestWrongClock: certificates are not signed on a machine whose clock is that wrong.
func TestWrongClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "helm", "us", "eu")
	writes := len(w.Log)
	if _, err := w.run(-1, w.ahead(40*time.Minute)); err == nil || !strings.Contains(err.Error(), "us: the clock of this machine is") || len(w.Log) != writes+1 {
		t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
	}
}

// TestCertgenVersion: cross certificates are not written for a certgen that does not know files of several certificates, and are sent without it.
func TestCertgenVersion(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, func(string, int) catest.Install {
		in := install("certgen")
		in.Certgen = "quay.io/cilium/certgen:v0.3.0"
		return in
	}, "us", "eu")
	writes := len(w.Log)
	if _, err := w.run(-1, nil); err == nil || !strings.Contains(err.Error(), "eu: cross certificates are written into secret cilium-ca, and only certgen v0.3.1 to v0.4 are known") || len(w.Log) != writes+1 {
		t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
	}
	if _, err := w.run(-1, func(c *federate.Config) { c.FilesOnly = true }); err != nil {
		t.Error(err)
	}
}

// TestRepair: one cluster was issued again with another CA, and its etcd restarted. Nothing is restarted to heal that.
func TestRepair(t *testing.T) {
	t.Parallel()
	shared := pkitest.NewCA(t, pkitest.Spec{})
	for name, replaced := range map[string]bool{"with its cilium-ca": true, "although cilium-ca is the new one everywhere": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			naive := pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
			w := newWorldOf(t, func(_ string, n int) catest.Install {
				in := catest.Install{CA: &shared}
				if n == 0 {
					in.CA = &naive
				} else if !replaced {
					in.CA, in.LeafCA = &naive, &shared
				}
				return in
			}, "us", "eu", "ap")
			if !replaced { // a sync keeps what it replaces
				backup := ca.NewBackup(&corev1.Secret{Data: shared.CASecret()}, pki.Fingerprint(shared.Cert))
				backup.Namespace, backup.Labels[ca.LabelBackupOf] = catest.Namespace, pki.SecretCA
				w.Mesh[1].Put("secrets", backup)
			}
			if w.Handshake(w.Mesh[0], w.Mesh[1]) == "" {
				t.Fatal("nothing is broken")
			}
			report, err := w.run(-1, func(c *federate.Config) { c.Action = federate.Repair })
			if err != nil {
				t.Fatal(err, report.Waiting)
			}
			w.trusted("repaired")
			for _, p := range w.Mesh {
				if p.Restarted() {
					t.Errorf("%s was restarted", p.Name)
				}
			}
			if len(report.NextSteps) == 0 || report.Recipe != string(federate.Files) {
				t.Errorf("%s, %v", report.Recipe, report.NextSteps)
			}
		})
	}
}

// TestRefused: nothing is written, and the reason says which cluster and what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	broken := func(spec pkitest.Spec) func(testing.TB) catest.Install {
		return func(t testing.TB) catest.Install {
			own := pkitest.NewCA(t, spec)
			return catest.Install{CA: &own}
		}
	}
	edit := func(change func(map[string]*corev1.Secret)) func(testing.TB) catest.Install {
		return func(testing.TB) catest.Install { return catest.Install{Edit: change} }
	}
	for name, c := range map[string]struct {
		eu   func(testing.TB) catest.Install
		want string
	}{
		"certgen beside Helm": {func(testing.TB) catest.Install { return install("certgen") }, "do not combine"},
		"path length 0":       {broken(pkitest.Spec{NoPath: true}), "its path length is 0"},
		"expired":             {broken(pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)}), "it expired on"},
		"no key":              {edit(func(s map[string]*corev1.Secret) { delete(s[pki.SecretCA].Data, "ca.key") }), "cannot sign"},
		"no CA":               {edit(func(s map[string]*corev1.Secret) { delete(s, pki.SecretCA) }), "secret cilium-ca does not exist"},
		"cert-manager":        {func(testing.TB) catest.Install { return catest.Install{Method: "cert-manager"} }, "is managed by cert-manager"},
		"Argo CD":             {func(testing.TB) catest.Install { return catest.Install{CAOwner: "argocd"} }, "--force-conflicts"},
		"a leaf certificate of another CA": {func(t testing.TB) catest.Install {
			other := pkitest.NewCA(t, pkitest.Spec{})
			return catest.Install{LeafCA: &other}
		}, "rotate repair"},
		"a trust bundle": {func(testing.TB) catest.Install { return catest.Install{UseBundle: true, Bundle: []byte("x")} }, "tls.caBundle"},
		"a rotation": {edit(func(s map[string]*corev1.Secret) {
			s[ca.SecretRotation] = &corev1.Secret{Data: map[string][]byte{}}
			s[ca.SecretRotation].Name = ca.SecretRotation
		}), "a rotation of the CA is under way"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, func(name string, _ int) catest.Install {
				if name == "eu" {
					return c.eu(t)
				}
				return install("helm")
			}, "us", "eu")
			writes := len(w.Log)
			report, err := w.run(-1, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || len(w.Log) != writes+1 || len(report.Changes) > 0 {
				t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
			}
		})
	}
}
