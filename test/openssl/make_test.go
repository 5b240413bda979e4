package openssl

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// keys are made once: what is compared does not depend on which they are.
type keys struct {
	ec  []crypto.Signer
	rsa []crypto.Signer
}

func makeKeys(t *testing.T) keys {
	t.Helper()
	var k keys
	for range 8 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(t, err)
		k.ec = append(k.ec, key)
	}
	for range 3 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
		k.rsa = append(k.rsa, key)
	}
	return k
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// spec is a certificate to make. The zero value is a leaf certificate that is valid at pkitest.Now.
type spec struct {
	subject   string
	raw       []byte // the subject's bytes, instead of subject
	from, to  time.Duration
	ca        bool
	noSign    bool // a CA whose key usage does not include certSign
	noID      bool // a CA without a subject key identifier
	notCA     bool // basic constraints say CA:FALSE, although it signs
	noPath    bool // path length 0
	usages    []x509.ExtKeyUsage
	dns       []string
	sha1      bool
	authority []byte // authority key identifier, where it is not the issuer's
}

// cert is a certificate with its key.
type cert struct {
	x   *x509.Certificate
	key crypto.Signer
	pem []byte
}

var serial int64

// basicConstraints is CA:TRUE without a path length, for a CA that is to have no subject key identifier: crypto/x509 adds one to every template of a CA.
type basicConstraints struct {
	IsCA bool `asn1:"optional"`
}

// sign makes a certificate; a nil parent is itself.
func sign(t *testing.T, s spec, key crypto.Signer, parent *cert) cert {
	t.Helper()
	serial++
	year := 365 * pkitest.Day
	if s.to == 0 {
		s.to = year
	}
	if s.from == 0 {
		s.from = -year
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: s.subject}, RawSubject: s.raw, NotBefore: pkitest.Now.Add(s.from), NotAfter: pkitest.Now.Add(s.to),
		BasicConstraintsValid: true, IsCA: s.ca, MaxPathLenZero: s.noPath, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: s.usages, DNSNames: s.dns, AuthorityKeyId: s.authority,
	}
	if s.ca && !s.noSign {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	if s.noSign {
		template.KeyUsage |= x509.KeyUsageCRLSign
	}
	if s.ca && s.noID {
		raw, err := asn1.Marshal(basicConstraints{true})
		check(t, err)
		template.BasicConstraintsValid, template.IsCA = false, false
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: raw}}
	}
	if s.notCA {
		template.IsCA, template.KeyUsage = false, x509.KeyUsageDigitalSignature
	}
	signer, issuer := key, template
	if parent != nil {
		signer, issuer = parent.key, parent.x
	}
	if _, isRSA := signer.(*rsa.PrivateKey); isRSA && s.sha1 {
		template.SignatureAlgorithm = x509.SHA1WithRSA
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	check(t, err)
	parsed, err := x509.ParseCertificate(der)
	check(t, err)
	return cert{x: parsed, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// cross makes X: the key and the subject of one CA, signed by another.
func cross(t *testing.T, of, by cert) cert {
	t.Helper()
	return sign(t, spec{raw: of.x.RawSubject, ca: true, noID: len(of.x.SubjectKeyId) == 0, authority: by.x.SubjectKeyId}, of.key, &by)
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func join(certs ...cert) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		out.Write(c.pem)
	}
	return out.Bytes()
}
