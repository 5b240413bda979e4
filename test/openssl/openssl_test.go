package openssl

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// The environment of the test. `make openssl-ca` sets both; without them a short form runs.
const (
	envCases = "OPENSSL_CA_CASES"
	envSeed  = "OPENSSL_CA_SEED"
)

const fewCases = 60

func number(t *testing.T, name string, fallback uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestAgreement: the verdict of mesh-ca is that of a real TLS handshake in every case, and that of `openssl verify` in every case that it judges by the same
// rules.
func TestAgreement(t *testing.T) {
	t.Parallel()
	binary, err := exec.LookPath("openssl")
	cases := number(t, envCases, fewCases)
	switch {
	case err != nil && os.Getenv(envCases) != "":
		t.Fatal("openssl is not installed")
	case err != nil:
		t.Skip("openssl is not installed")
	}
	seed := number(t, envSeed, uint64(time.Now().UnixNano()))
	t.Logf("seed %d (%s=%d repeats it), %d cases for OpenSSL", seed, envSeed, seed, cases)
	started := time.Now()
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 1)), t: t, keys: makeKeys(t)}
	us, eu := pkitest.Side(t, "us", pkitest.NewCA(t, pkitest.Spec{})), pkitest.Side(t, "eu", pkitest.NewCA(t, pkitest.Spec{}))
	dir := t.TempDir()
	count := map[string]int{}
	differ := func(i uint64, h handshake, who string, got, want bool, detail string) {
		t.Errorf("case %d (%s; server %v): mesh-ca accepts: %v, %s accepts: %v\n%s", i, h.what, h.server, got, who, want, detail)
	}
	judged := uint64(0)
	for i := uint64(0); judged < cases; i++ {
		h := m.make()
		verdict, reason := judge(t, us, eu, h)
		got := verdict == pki.OK
		count[string(verdict)]++
		refused := connect(t, h)
		if got != (refused == nil) {
			differ(i, h, "a TLS handshake", got, refused == nil, fmt.Sprintf("%s\n%v", reason, refused))
		}
		want, detail := verify(t, binary, dir, h)
		want = want && fits(t, h)
		if h.beyond != "" {
			count["beyond"]++
			if got != want {
				count["otherwise"]++
			}
			continue
		}
		judged++
		if got != want {
			differ(i, h, "OpenSSL", got, want, reason+"\n"+detail)
		}
	}
	all := int(judged) + count["beyond"]
	t.Logf("%d certificates: %d ok, %d broken, as in %d TLS handshakes. OpenSSL agrees on %d; %d go beyond its command, which says otherwise on %d of them. %s",
		all, count["ok"], count["broken"], all, judged, count["beyond"], count["otherwise"], time.Since(started).Round(time.Second))
	chance := int(math.Sqrt(float64(all))) // the cases are drawn, and few of them vary
	if count["ok"] < all/8-chance || count["broken"] < all/8-chance || count["beyond"] > all*2/3+chance {
		t.Errorf("the cases are one-sided: %v", count)
	}
}

// judge asks mesh-ca: the case as a leaf Secret of one cluster, and its trust as the ca.crt of the other.
func judge(t *testing.T, us, eu pki.Side, h handshake) (pki.Verdict, string) {
	t.Helper()
	put := func(s *pki.Side, name string, data map[string][]byte) {
		objects := map[pki.Ref]pki.Object{}
		for ref, o := range s.Objects {
			objects[ref] = o
		}
		objects[pki.Ref{Kind: pki.Secret, Name: name}] = pki.Object{Data: data}
		s.Objects = objects
	}
	presented := map[string][]byte{"tls.crt": join(h.chain...), "tls.key": keyPEM(t, h.key), "ca.crt": us.Objects[pki.Ref{Kind: pki.Secret, Name: pki.SecretServer}].Data["ca.crt"]}
	trusting := func(s pki.Side, name string) map[string][]byte {
		out := map[string][]byte{}
		for k, v := range s.Objects[pki.Ref{Kind: pki.Secret, Name: name}].Data {
			out[k] = v
		}
		out["ca.crt"] = join(h.roots...)
		return out
	}
	if h.server {
		put(&us, pki.SecretServer, presented)
		put(&eu, pki.SecretRemote, trusting(eu, pki.SecretRemote))
	} else {
		put(&eu, pki.SecretRemote, presented)
		put(&us, pki.SecretServer, trusting(us, pki.SecretServer))
	}
	for _, p := range pki.Matrix([]pki.Side{us, eu}, pkitest.Now) {
		if p.Client != "eu" {
			continue
		}
		if h.server {
			return p.Identity.Verdict, p.Identity.Reason
		}
		return p.Login.Verdict, p.Login.Reason
	}
	t.Fatal("no such pair")
	return "", ""
}

// fits reports whether the key is that of the leaf certificate: OpenSSL's command does not see it.
func fits(t *testing.T, h handshake) bool {
	t.Helper()
	_, err := tls.X509KeyPair(join(h.chain...), keyPEM(t, h.key))
	return err == nil
}

// connection is one over the loopback interface. A pipe in memory has no buffer: both sides of a handshake that fails would wait for each other.
func connection(t *testing.T) (server, client net.Conn) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	client, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	check(t, err)
	server, err = listener.Accept()
	check(t, err)
	check(t, listener.Close())
	for _, c := range []net.Conn{server, client} {
		check(t, c.SetDeadline(time.Now().Add(2*time.Minute)))
	}
	return server, client
}

// connect makes a real handshake.
func connect(t *testing.T, h handshake) error {
	t.Helper()
	pair, err := tls.X509KeyPair(join(h.chain...), keyPEM(t, h.key))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	for _, r := range h.roots {
		roots.AddCert(r.x)
	}
	now := func() time.Time { return pkitest.Now }
	server := &tls.Config{Certificates: []tls.Certificate{pair}, Time: now, MinVersion: tls.VersionTLS12}
	client := &tls.Config{RootCAs: roots, ServerName: host, Time: now, MinVersion: tls.VersionTLS12}
	if !h.server {
		server.Certificates, server.ClientAuth, server.ClientCAs = []tls.Certificate{ownServer(t)}, tls.RequireAndVerifyClientCert, roots
		client.InsecureSkipVerify = true // only the client's certificate is judged
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	a, b := connection(t)
	var wait sync.WaitGroup
	var one, two error
	wait.Go(func() {
		s := tls.Server(a, server)
		one = s.HandshakeContext(t.Context())
		if one == nil {
			_, one = s.Write([]byte("x")) // a client of TLS 1.3 reads the verdict on its certificate only now
		}
		_ = a.Close()
	})
	c := tls.Client(b, client)
	two = c.HandshakeContext(t.Context())
	if two == nil {
		_, two = c.Read(make([]byte, 1))
	}
	_ = b.Close()
	wait.Wait()
	return errors.Join(one, two)
}

var ownServer = func() func(*testing.T) tls.Certificate {
	var once sync.Once
	var pair tls.Certificate
	return func(t *testing.T) tls.Certificate {
		t.Helper()
		once.Do(func() {
			ca := pkitest.NewCA(t, pkitest.Spec{DNS: []string{host}})
			var err error
			if pair, err = tls.X509KeyPair(ca.CertPEM, ca.KeyPEM); err != nil {
				t.Fatal(err)
			}
		})
		return pair
	}
}()

// verify asks OpenSSL. Any certificate of the CA file is an anchor (-partial_chain), as for Go; level 1 is OpenSSL's own default for TLS and rejects SHA-1.
func verify(t *testing.T, binary, dir string, h handshake) (bool, string) {
	t.Helper()
	purpose, args := "sslclient", []string(nil)
	if h.server {
		purpose, args = "sslserver", []string{"-verify_hostname", host}
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, data, 0o600))
		return path
	}
	args = append(args, "-attime", strconv.FormatInt(pkitest.Now.Unix(), 10), "-purpose", purpose, "-auth_level", "1", "-partial_chain", "-no-CApath", "-no-CAstore",
		"-CAfile", write("roots.pem", join(h.roots...)))
	if len(h.chain) > 1 {
		args = append(args, "-untrusted", write("untrusted.pem", join(h.chain[1:]...)))
	}
	args = append(args, write("leaf.pem", h.chain[0].pem))
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"verify"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil, out.String()
}
