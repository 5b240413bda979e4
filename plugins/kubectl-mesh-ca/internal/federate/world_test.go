package federate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
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
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
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
