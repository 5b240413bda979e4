// Package pkitest makes real certificates and whole Cilium installations of them for tests. It is imported by tests only and must not know what is
// right: it makes what a test asks for, wrong things included.
package pkitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// Now is the moment at which the tests live. Certificates are valid from a day before it unless a test says otherwise.
var Now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Day is a day.
const Day = 24 * time.Hour

// Encoding says how a private key is written.
type Encoding int

// The encodings that are met in clusters.
const (
	SEC1  Encoding = iota // certgen; ECDSA only
	PKCS8                 // cert-manager with encoding PKCS8, OpenSSL 3
	PKCS1                 // Helm's genCA; RSA only
)

// CA is a certificate authority with its key.
type CA struct {
	Cert    *x509.Certificate
	Key     crypto.Signer
	CertPEM []byte
	KeyPEM  []byte
}

// Spec says what certificate to make. The zero value is a CA called "Cilium CA" with an ECDSA key, valid for three years.
type Spec struct {
	Name      string
	NotBefore time.Time
	NotAfter  time.Time
	RSA       bool
	Encoding  Encoding
	NotCA     bool
	Usages    []x509.ExtKeyUsage
	DNS       []string
	IPs       []net.IP
	// Key reuses a key, as a reissued CA does.
	Key crypto.Signer
	// NoPath forbids intermediate certificates below a CA (path length 0). SHA1 signs with SHA-1; only RSA signers can.
	NoPath, SHA1 bool
	// Permitted are the DNS domains to which name constraints limit a CA.
	Permitted []string
}

// NewCA makes a self-signed CA.
func NewCA(t testing.TB, spec Spec) CA {
	t.Helper()
	if spec.Name == "" {
		spec.Name = "Cilium CA"
	}
	return build(t, spec, nil)
}

// Issue makes a certificate that ca has signed.
func (ca CA) Issue(t testing.TB, spec Spec) CA {
	t.Helper()
	spec.NotCA = true
	return build(t, spec, &ca)
}

// Intermediate makes a CA that ca has signed.
func (ca CA) Intermediate(t testing.TB, spec Spec) CA {
	t.Helper()
	return build(t, spec, &ca)
}

func build(t testing.TB, spec Spec, parent *CA) CA {
	t.Helper()
	if spec.NotBefore.IsZero() {
		spec.NotBefore = Now.Add(-Day)
	}
	if spec.NotAfter.IsZero() {
		spec.NotAfter = Now.Add(1095 * Day)
	}
	key := spec.Key
	if key == nil {
		key = newKey(t, spec.RSA)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: spec.Name}, NotBefore: spec.NotBefore, NotAfter: spec.NotAfter,
		BasicConstraintsValid: true, IsCA: !spec.NotCA, ExtKeyUsage: spec.Usages, DNSNames: spec.DNS, IPAddresses: spec.IPs,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if !spec.NotCA {
		tmpl.KeyUsage |= x509.KeyUsageCertSign
	}
	tmpl.MaxPathLenZero = spec.NoPath
	tmpl.PermittedDNSDomains, tmpl.PermittedDNSDomainsCritical = spec.Permitted, len(spec.Permitted) > 0
	if spec.SHA1 {
		tmpl.SignatureAlgorithm = x509.SHA1WithRSA
	}
	signer, issuer := key, tmpl
	if parent != nil {
		signer, issuer = parent.Key, parent.Cert
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, key.Public(), signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return CA{Cert: cert, Key: key, CertPEM: encode("CERTIFICATE", der), KeyPEM: encodeKey(t, key, spec.Encoding)}
}

func newKey(t testing.TB, useRSA bool) crypto.Signer {
	t.Helper()
	if useRSA {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		return key
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func encodeKey(t testing.TB, key crypto.Signer, enc Encoding) []byte {
	t.Helper()
	if enc == PKCS8 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		return encode("PRIVATE KEY", der)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(key)
		must(t, err)
		return encode("EC PRIVATE KEY", der)
	default:
		t.Fatalf("no encoding for %T", key)
		return nil
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Cross makes a certificate of another CA's key and subject that ca has signed: leaf certificates of the other CA verify where ca is trusted, if they come
// with it.
func (ca CA) Cross(t testing.TB, of CA) CA {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	tmpl := &x509.Certificate{
		// Another string type of the same text would be another subject. Go leaves out the authority key id where issuer and subject are equal.
		SerialNumber: serial, RawSubject: of.Cert.RawSubject, SubjectKeyId: of.Cert.SubjectKeyId, AuthorityKeyId: ca.Cert.SubjectKeyId,
		NotBefore: of.Cert.NotBefore, NotAfter: of.Cert.NotAfter, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.Cert, of.Key.Public(), ca.Key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return CA{Cert: cert, Key: of.Key, CertPEM: encode("CERTIFICATE", der), KeyPEM: of.KeyPEM}
}

// With is a leaf certificate that is presented with further certificates.
func (ca CA) With(more ...CA) CA {
	out := ca
	out.CertPEM = append([]byte(nil), ca.CertPEM...)
	for _, m := range more {
		out.CertPEM = append(out.CertPEM, m.CertPEM...)
	}
	return out
}
