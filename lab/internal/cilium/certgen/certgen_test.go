package certgen

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	labpki "github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

const namespace = "kube-system"

// now is that of the certificates of the tests.
func now() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }

func newCA(t *testing.T, name string, algorithm labpki.Algorithm, validity time.Duration) *labpki.Authority {
	t.Helper()
	ca, err := labpki.NewAuthority(labpki.AuthoritySpec{CommonName: name, Algorithm: algorithm, Validity: validity, NotBefore: now()})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func parseOne(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("not PEM: %q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// cross is the key of one CA signed by another CA.
func cross(t *testing.T, of, by *labpki.Authority, until time.Time) []byte {
	t.Helper()
	subject, issuer := parseOne(t, of.Pair.Cert), parseOne(t, by.Pair.Cert)
	block, _ := pem.Decode(by.Pair.Key)
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes) // of RSA, as all issuers of these tests are
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: subject.RawSubject, NotBefore: subject.NotBefore, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: subject.KeyUsage,
		// Go leaves it out where issuer and subject are equal.
		SubjectKeyId: subject.SubjectKeyId, AuthorityKeyId: issuer.SubjectKeyId,
	}, issuer, subject.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// leaf is a client certificate of the configuration.
func leaf(name string) Certificate {
	return Certificate{Name: name, Namespace: namespace, CommonName: name, Hosts: []string{name}, Usage: []string{"signing", "key encipherment", "client auth"}, Validity: 365 * labpki.Day}
}

func config(certificates ...Certificate) Config {
	return Config{
		Generate: true, Reuse: true, Namespace: namespace, Secret: "cilium-ca", CommonName: "Cilium CA", Validity: Validity, Certificates: certificates,
	}
}

func caSecret(cert, key []byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cilium-ca", Namespace: namespace}, Data: map[string][]byte{"ca.crt": cert, "ca.key": key}}
}

func secret(t *testing.T, client kubernetes.Interface, name string) *corev1.Secret {
	t.Helper()
	s, err := client.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifies reports whether a leaf certificate with its intermediates is accepted by one who trusts a CA.
func verifies(t *testing.T, bundle, ca []byte) bool {
	t.Helper()
	chain, err := parseChain(bundle)
	if err != nil {
		t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate in the CA")
	}
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now().Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

func TestRunWithChains(t *testing.T) {
	t.Parallel()
	own := newCA(t, "Cilium CA", labpki.ECDSAP256, Validity)
	old := newCA(t, "Cilium CA", labpki.RSA2048, Validity)
	peer := newCA(t, "Cilium CA", labpki.RSA2048, Validity)
	far := now().Add(Validity)
	x := cross(t, own, peer, far)
	for name, tc := range map[string]struct {
		file, key []byte
		want      []byte // ca.crt of the leaf certificates
		certs     int    // in tls.crt
		verify    [][]byte
		refuse    [][]byte
	}{
		"one CA":                           {own.Pair.Cert, own.Pair.Key, own.Pair.Cert, 1, [][]byte{own.Pair.Cert}, [][]byte{peer.Pair.Cert}},
		"a key of another kind":            {old.Pair.Cert, old.Pair.Key, old.Pair.Cert, 1, [][]byte{old.Pair.Cert}, [][]byte{own.Pair.Cert}},
		"text before the blocks":           {join([]byte("# mine\n"), own.Pair.Cert, []byte("\n\n")), own.Pair.Key, own.Pair.Cert, 1, [][]byte{own.Pair.Cert}, nil},
		"cross-signed for a peer":          {join(x, own.Pair.Cert), own.Pair.Key, own.Pair.Cert, 2, [][]byte{own.Pair.Cert, peer.Pair.Cert}, nil},
		"rotation, trust is still the old": {join(cross(t, own, old, far), old.Pair.Cert), own.Pair.Key, old.Pair.Cert, 2, [][]byte{old.Pair.Cert, own.Pair.Cert}, nil},
		// Two CAs are not a trust bundle: the last one alone is delivered.
		"two CAs": {join(own.Pair.Cert, peer.Pair.Cert), own.Pair.Key, peer.Pair.Cert, 2, [][]byte{own.Pair.Cert}, [][]byte{peer.Pair.Cert}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset(caSecret(tc.file, tc.key))
			if err := Run(t.Context(), config(leaf("a"), leaf("b")), client, now(), io.Discard); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a", "b"} {
				got := secret(t, client, name)
				if got.Type != corev1.SecretTypeTLS {
					t.Errorf("type %q", got.Type)
				}
				if diff := cmp.Diff(string(tc.want), string(got.Data["ca.crt"])); diff != "" {
					t.Errorf("ca.crt (-want +got):\n%s", diff)
				}
				if n := bytes.Count(got.Data["tls.crt"], []byte("BEGIN CERTIFICATE")); n != tc.certs {
					t.Errorf("%d certificates in tls.crt, want %d", n, tc.certs)
				}
				for _, ca := range tc.verify {
					if !verifies(t, got.Data["tls.crt"], ca) {
						t.Error("a CA that should accept the certificate does not")
					}
				}
				for _, ca := range tc.refuse {
					if verifies(t, got.Data["tls.crt"], ca) {
						t.Error("a CA accepts the certificate that should not")
					}
				}
				if _, err := labpki.LoadAuthority(parseOne(t, got.Data["tls.crt"]), got.Data["tls.key"]); err != nil {
					t.Errorf("tls.key: %v", err)
				}
			}
			if got := secret(t, client, "cilium-ca"); !bytes.Equal(got.Data["ca.crt"], tc.file) {
				t.Error("the CA was changed")
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	own := newCA(t, "Cilium CA", labpki.ECDSAP256, Validity)
	peer := newCA(t, "Cilium CA", labpki.RSA2048, Validity)
	dead := newCA(t, "Cilium CA", labpki.ECDSAP256, -time.Hour)
	x := cross(t, own, peer, now().Add(365*labpki.Day-time.Hour))
	strict := config(leaf("a"))
	strict.EnforceValidity = true
	unknown := leaf("a")
	unknown.Usage = []string{"everything"}
	noCA := config(leaf("a"))
	noCA.Generate = false
	for name, tc := range map[string]struct {
		config Config
		secret *corev1.Secret
		want   string
	}{
		"the key of another block": {config(leaf("a")), caSecret(join(peer.Pair.Cert, own.Pair.Cert), own.Pair.Key), `the key is not that of certificate "Cilium CA"`},
		"text after the last":      {config(leaf("a")), caSecret(join(own.Pair.Cert, []byte("# the end\n")), own.Pair.Key), "text that is not PEM follows certificate 1"},
		"a key among the CAs":      {config(leaf("a")), caSecret(join(own.Pair.Cert, own.Pair.Key), own.Pair.Key), `block 2 is of type "EC PRIVATE KEY"`},
		"no certificate":           {config(leaf("a")), caSecret([]byte("\n"), own.Pair.Key), "no certificate"},
		"no key":                   {config(leaf("a")), caSecret(own.Pair.Cert, nil), "has no ca.key"},
		"a key that is not PEM":    {config(leaf("a")), caSecret(own.Pair.Cert, []byte("secret words")), "the key is not PEM"},
		"an expired CA":            {config(leaf("a")), caSecret(dead.Pair.Cert, dead.Pair.Key), "has expired"},
		"a CA that ends too early": {strict, caSecret(join(x, own.Pair.Cert), own.Pair.Key), "before a leaf certificate with the validity 8760h0m0s"},
		"an unknown usage":         {config(leaf("b"), unknown), caSecret(own.Pair.Cert, own.Pair.Key), `certificate "a": unknown usage "everything"`},
		"no CA, and none allowed":  {noCA, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: namespace}}, `"cilium-ca" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset(tc.secret)
			var log bytes.Buffer
			err := Run(t.Context(), tc.config, client, now().Add(time.Minute), &log)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want one with %q", err, tc.want)
			}
			if strings.Contains(err.Error()+log.String(), "secret words") {
				t.Error("key material is printed")
			}
			for _, action := range client.Actions() {
				if action.GetVerb() != "get" {
					t.Errorf("it changed something: %v", action)
				}
			}
		})
	}
}

// What the plugins say of certgen must be what it does, to the minute.
func TestRefusesWhenMeshCASaysSo(t *testing.T) {
	t.Parallel()
	own := newCA(t, "Cilium CA", labpki.ECDSAP256, Validity)
	peer := newCA(t, "Cilium CA", labpki.RSA2048, 400*labpki.Day)
	x := cross(t, own, peer, now().Add(500*labpki.Day))
	for name, file := range map[string][]byte{"a CA": own.Pair.Cert, "a chain": join(x, own.Pair.Cert), "with a peer": join(own.Pair.Cert, peer.Pair.Cert)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(leaf("a"))
			c.EnforceValidity = true
			chain, err := parseChain(file)
			if err != nil {
				t.Fatal(err)
			}
			from, refuses := pki.Certgen{Enforces: true, Longest: 365 * labpki.Day}.Refuses(chain)
			if !refuses {
				t.Fatal("it never refuses")
			}
			for offset, wantError := range map[time.Duration]bool{-time.Minute: false, time.Minute: true} {
				err := Run(t.Context(), c, fake.NewClientset(caSecret(file, own.Pair.Key)), from.Add(offset), io.Discard)
				if (err != nil) != wantError {
					t.Errorf("%s from the announced time: error %v, want one: %t", offset, err, wantError)
				}
			}
			c.EnforceValidity = false
			if err := Run(t.Context(), c, fake.NewClientset(caSecret(file, own.Pair.Key)), from.Add(time.Minute), io.Discard); err != nil {
				t.Errorf("without the flag: %v", err)
			}
		})
	}
}

func TestMakesCA(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	if err := Run(t.Context(), config(leaf("a")), client, now(), io.Discard); err != nil {
		t.Fatal(err)
	}
	ca := secret(t, client, "cilium-ca")
	cert := parseOne(t, ca.Data["ca.crt"])
	if cert.Subject.CommonName != "Cilium CA" || !cert.IsCA || cert.MaxPathLen != -1 || cert.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("CA %q, IsCA %t, path length %d, %s", cert.Subject.CommonName, cert.IsCA, cert.MaxPathLen, cert.PublicKeyAlgorithm)
	}
	if want := now().Add(Validity - backdate); !cert.NotAfter.Equal(want) {
		t.Errorf("it ends at %s, want %s", cert.NotAfter, want)
	}
	// The next run signs with it.
	if err := Run(t.Context(), config(leaf("a")), client, now().Add(time.Hour), io.Discard); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ca.Data, secret(t, client, "cilium-ca").Data); diff != "" {
		t.Error("the second run made another CA")
	}
	if !verifies(t, secret(t, client, "a").Data["tls.crt"], ca.Data["ca.crt"]) {
		t.Error("the certificate does not verify")
	}
	// Without --ca-reuse-secret each run makes another.
	other := config(leaf("a"))
	other.Reuse = false
	if err := Run(t.Context(), other, client, now(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := secret(t, client, "cilium-ca"); bytes.Equal(got.Data["ca.crt"], ca.Data["ca.crt"]) {
		t.Error("the CA was used again")
	} else if !verifies(t, secret(t, client, "a").Data["tls.crt"], got.Data["ca.crt"]) {
		t.Error("the certificate is not of the new CA")
	}
}

// The two Jobs of an installation start at the same time, and both find no CA.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	first := newCA(t, "Cilium CA", labpki.ECDSAP256, Validity)
	client := fake.NewClientset(caSecret(first.Pair.Cert, first.Pair.Key))
	missing := true
	client.PrependReactor("get", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if missing {
			missing = false
			return true, nil, apierrors.NewNotFound(action.GetResource().GroupResource(), "cilium-ca")
		}
		return false, nil, nil
	})
	if err := Run(t.Context(), config(leaf("a")), client, now(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if !verifies(t, secret(t, client, "a").Data["tls.crt"], first.Pair.Cert) {
		t.Error("the certificate is not of the CA that was there first")
	}
}

func TestReplacesWholeSecrets(t *testing.T) {
	t.Parallel()
	own := newCA(t, "Cilium CA", labpki.ECDSAP256, Validity)
	client := fake.NewClientset(caSecret(own.Pair.Cert, own.Pair.Key), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: namespace, Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"}},
		Type:       corev1.SecretTypeTLS, Data: map[string][]byte{"note": []byte("mine")},
	})
	if err := Run(t.Context(), config(leaf("a")), client, now(), io.Discard); err != nil {
		t.Fatal(err)
	}
	got := secret(t, client, "a")
	if len(got.Labels)+len(got.Annotations) > 0 || len(got.Data) != 3 {
		t.Errorf("labels %v, annotations %v, %d keys", got.Labels, got.Annotations, len(got.Data))
	}
}

// text is the configuration in the form of chart 1.20.
const text = `certs:
- name: server
  namespace: kube-system
  commonName: clustermesh-apiserver.kube-system.svc
  hosts:
  - clustermesh-apiserver.kube-system.svc
  - '*.mesh.cilium.io'
  - 127.0.0.1
  - ::1
  usage:
  - signing
  - key encipherment
  - server auth
  validity: 8760h
- name: admin
  namespace: kube-system
  commonName: "admin-us"
  usage:
  - signing
  - key encipherment
  - client auth
  validity: 8760h
`

func TestCertificatesOfTheChart(t *testing.T) {
	t.Parallel()
	c, err := ParseConfig([]string{
		"--ca-generate=true", "--ca-reuse-secret", "--ca-secret-namespace=kube-system", "--ca-secret-name=cilium-ca", "--ca-common-name=Cilium CA",
		"--ca-enforce-validity-throughout-leaves-duration=true",
	}, func(name string) string { return map[string]string{"CILIUM_CERTGEN_CONFIG": text}[name] })
	if err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset()
	if err := Run(context.Background(), c, client, now(), io.Discard); err != nil {
		t.Fatal(err)
	}
	server, admin := parseOne(t, secret(t, client, "server").Data["tls.crt"]), parseOne(t, secret(t, client, "admin").Data["tls.crt"])
	if diff := cmp.Diff([]string{"clustermesh-apiserver.kube-system.svc", "*.mesh.cilium.io"}, server.DNSNames); diff != "" {
		t.Errorf("names of the server (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}, server.IPAddresses); diff != "" {
		t.Errorf("addresses of the server (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"admin-us"}, admin.DNSNames); diff != "" || admin.Subject.CommonName != "admin-us" {
		t.Errorf("names of the user %q (-want +got):\n%s", admin.Subject.CommonName, diff)
	}
	if diff := cmp.Diff([][]x509.ExtKeyUsage{{x509.ExtKeyUsageServerAuth}, {x509.ExtKeyUsageClientAuth}}, [][]x509.ExtKeyUsage{server.ExtKeyUsage, admin.ExtKeyUsage}); diff != "" {
		t.Errorf("usages (-want +got):\n%s", diff)
	}
	if want := now().Add(365*labpki.Day - backdate); !admin.NotAfter.Equal(want) {
		t.Errorf("it ends at %s, want %s", admin.NotAfter, want)
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	where := []string{"--ca-secret-namespace=kube-system", "--ca-secret-name=cilium-ca"}
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want string // part of the error
		got  func(Config) bool
	}{
		"defaults":              {where, nil, "", func(c Config) bool { return !c.Generate && !c.Reuse && !c.EnforceValidity && c.Validity == Validity }},
		"by the environment":    {nil, map[string]string{"CILIUM_CERTGEN_CA_SECRET_NAME": "s", "CILIUM_CERTGEN_CA_SECRET_NAMESPACE": "n", "CILIUM_CERTGEN_CA_GENERATE": "true"}, "", func(c Config) bool { return c.Generate && c.Secret == "s" && c.Namespace == "n" }},
		"arguments win":         {append(where, "--ca-generate=false"), map[string]string{"CILIUM_CERTGEN_CA_GENERATE": "true"}, "", func(c Config) bool { return !c.Generate }},
		"an unknown flag":       {append(where, "--hubble-ca-generate"), nil, "unknown flag: --hubble-ca-generate", nil},
		"no Secret":             {nil, nil, "--ca-secret-name and --ca-secret-namespace are required", nil},
		"not YAML":              {append(where, "--config=\t{"), nil, "--config: ", nil},
		"no validity":           {append(where, "--config=certs: [{name: a}]"), nil, `certificate "a": validity: `, nil},
		"a bad variable":        {where, map[string]string{"CILIUM_CERTGEN_CA_GENERATE": "maybe"}, "CILIUM_CERTGEN_CA_GENERATE: ", nil},
		"the validity of a CA":  {append(where, "--ca-validity-duration=48h"), nil, "", func(c Config) bool { return c.Validity == 48*time.Hour }},
		"enforcing by argument": {append(where, "--ca-enforce-validity-throughout-leaves-duration=true"), nil, "", func(c Config) bool { return c.EnforceValidity }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseConfig(tc.args, func(name string) string { return tc.env[name] })
			switch {
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want one with %q", err, tc.want)
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "" && !tc.got(c):
				t.Errorf("got %+v", c)
			}
		})
	}
}
