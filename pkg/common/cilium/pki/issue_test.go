package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

func newCA(t *testing.T, o pki.CAOptions) pki.CertKey {
	t.Helper()
	o.Now = pkitest.Now
	ca, err := pki.NewCA(o)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// signer reads a CA of the tests as the plugins read one from a cluster.
func signer(t *testing.T, ca pkitest.CA) pki.CertKey {
	t.Helper()
	out, err := pki.ParseSigner(ca.CASecret())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNewCA(t *testing.T) {
	t.Parallel()
	for kind, block := range map[pki.KeyType]string{pki.ECDSA: "EC PRIVATE KEY", pki.RSA: "RSA PRIVATE KEY"} {
		ca := newCA(t, pki.CAOptions{KeyType: kind})
		parsed, err := pki.ParseCA(map[string][]byte{"ca.crt": ca.CertPEM(), "ca.key": ca.KeyPEM()})
		if err != nil || parsed.Key != pki.KeyMatches || parsed.Usable(pkitest.Now, pki.DefaultCAValidity-2*time.Hour) != nil {
			t.Errorf("%s: %+v, %v", kind, parsed, err)
		}
		if b, _ := pem.Decode(ca.KeyPEM()); b.Type != block {
			t.Errorf("%s: a PEM block of type %q", kind, b.Type)
		}
		if ca.Cert.MaxPathLen != -1 || ca.Cert.Version != 3 || !pki.SelfSigned(ca.Cert) || len(ca.Cert.SubjectKeyId) != 20 || ca.Cert.Subject.CommonName != "Cilium CA" {
			t.Errorf("%s: %+v", kind, ca.Cert)
		}
	}
	if _, err := pki.NewCA(pki.CAOptions{KeyType: "dsa", Now: pkitest.Now}); err == nil {
		t.Error("dsa")
	}
}

// TestKeysAreNotPrinted: a key must not get into a log by way of a format verb.
func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	ca := newCA(t, pki.CAOptions{})
	block, _ := pem.Decode(ca.KeyPEM())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, ca); strings.Contains(text, "PRIVATE") || bytes.Contains([]byte(text), block.Bytes[:8]) || strings.Contains(text, "0x") {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}

// TestCrossSign: a leaf certificate of NEW, sent with X, is accepted by who trusts OLD and by who trusts NEW, whatever the keys, names and encodings.
func TestCrossSign(t *testing.T) {
	t.Parallel()
	for name, old := range map[string]pkitest.CA{
		"RSA, the same name":  pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1}),
		"ECDSA, another name": pkitest.NewCA(t, pkitest.Spec{Name: "Company Root"}),
		"PKCS#8":              pkitest.NewCA(t, pkitest.Spec{Encoding: pkitest.PKCS8}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			by, fresh := signer(t, old), newCA(t, pki.CAOptions{})
			x, err := fresh.CrossSign(by, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(x.RawSubject, fresh.Cert.RawSubject) || len(x.AuthorityKeyId) == 0 || !bytes.Equal(x.AuthorityKeyId, old.Cert.SubjectKeyId) || x.NotAfter.After(old.Cert.NotAfter) {
				t.Errorf("%+v", x)
			}
			previous := old.Issue(t, pkitest.Spec{Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			leaf, err := fresh.Reissue(previous.Cert, pkitest.Now)
			if err != nil {
				t.Fatal(err)
			}
			pair := pki.Rotation{Old: old.Cert, New: fresh.Cert}
			for _, c := range []struct {
				chain []*x509.Certificate
				want  pki.Accepts
			}{
				{[]*x509.Certificate{leaf.Cert, x}, pki.AcceptsBoth}, {[]*x509.Certificate{leaf.Cert}, pki.AcceptsNew}, {[]*x509.Certificate{previous.Cert}, pki.AcceptsOld},
				{[]*x509.Certificate{pkitest.NewCA(t, pkitest.Spec{}).Issue(t, pkitest.Spec{Name: "remote"}).Cert}, pki.AcceptsNone}, {nil, pki.AcceptsNone},
			} {
				if got := pair.Leaf(c.chain, pkitest.Now); got != c.want {
					t.Errorf("%d certificates: %s, want %s", len(c.chain), got, c.want)
				}
			}
			if got := pair.Leaf([]*x509.Certificate{leaf.Cert, x}, old.Cert.NotAfter.Add(time.Hour)); got.Old {
				t.Error("X outlives the CA that signed it")
			}
		})
	}
}

func TestCanCrossSign(t *testing.T) {
	t.Parallel()
	ca := newCA(t, pki.CAOptions{})
	limited := *ca.Cert
	limited.MaxPathLen, limited.MaxPathLenZero = 0, true
	constrained := *ca.Cert
	constrained.PermittedDNSDomains = []string{"example.com"}
	leaf := pkitest.NewCA(t, pkitest.Spec{}).Issue(t, pkitest.Spec{Name: "a"}).Cert
	for want, cert := range map[string]*x509.Certificate{"path length": &limited, "name constraints": &constrained, "not a CA": leaf} {
		if err := pki.CanCrossSign(cert, pkitest.Now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := pki.CanCrossSign(ca.Cert, ca.Cert.NotAfter.Add(time.Second)); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
	if err := pki.CanCrossSign(ca.Cert, pkitest.Now); err != nil {
		t.Error(err)
	}
}

// TestReissue keeps what processes and etcd's users depend on.
func TestReissue(t *testing.T) {
	t.Parallel()
	old := pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
	for name, spec := range map[string]pkitest.Spec{
		"ECDSA": {Name: "admin-us", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: pkitest.Now.Add(365 * pkitest.Day)},
		"RSA": {RSA: true, Encoding: pkitest.PKCS1, Name: "clustermesh-apiserver.cilium.io", DNS: []string{"*.mesh.cilium.io"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
			Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, NotAfter: pkitest.Now.Add(1000 * pkitest.Day)},
	} {
		previous := old.Issue(t, spec).Cert
		fresh := newCA(t, pki.CAOptions{})
		now := pkitest.Now.Add(30 * pkitest.Day)
		made, err := fresh.Reissue(previous, now)
		if err != nil {
			t.Fatal(err)
		}
		got := made.Cert
		if !bytes.Equal(got.RawSubject, previous.RawSubject) || fmt.Sprint(got.DNSNames, got.IPAddresses, got.ExtKeyUsage, got.KeyUsage, got.IsCA) !=
			fmt.Sprint(previous.DNSNames, previous.IPAddresses, previous.ExtKeyUsage, previous.KeyUsage, previous.IsCA) {
			t.Errorf("%s: %+v", name, got)
		}
		if a, b := got.NotAfter.Sub(got.NotBefore), previous.NotAfter.Sub(previous.NotBefore); a != b {
			t.Errorf("%s: valid for %s, before for %s", name, a, b)
		}
		if bytes.Equal(got.RawSubjectPublicKeyInfo, previous.RawSubjectPublicKeyInfo) || got.SerialNumber.Cmp(previous.SerialNumber) == 0 {
			t.Errorf("%s: the key or the serial number is the previous one", name)
		}
		switch pub := got.PublicKey.(type) {
		case *rsa.PublicKey:
			if !spec.RSA || pub.Size() != 256 {
				t.Errorf("%s: RSA with %d bytes", name, pub.Size())
			}
		case *ecdsa.PublicKey:
			if spec.RSA {
				t.Errorf("%s: ECDSA", name)
			}
		}
		if state, err := pki.CheckKey(got, made.KeyPEM()); state != pki.KeyMatches {
			t.Errorf("%s: %s, %v", name, state, err)
		}
	}
	short := newCA(t, pki.CAOptions{Validity: time.Hour})
	made, err := short.Reissue(old.Issue(t, pkitest.Spec{Name: "a"}).Cert, pkitest.Now)
	if err != nil || made.Cert.NotAfter.After(short.Cert.NotAfter) {
		t.Errorf("%v: the certificate outlives its CA", err)
	}
}

func TestRotationTrust(t *testing.T) {
	t.Parallel()
	a, b, c := newCA(t, pki.CAOptions{}), newCA(t, pki.CAOptions{}), newCA(t, pki.CAOptions{})
	pair := pki.Rotation{Old: a.Cert, New: b.Cert}
	for _, tc := range []struct {
		file []*x509.Certificate
		want pki.Accepts
		only bool
	}{
		{[]*x509.Certificate{a.Cert}, pki.AcceptsOld, true}, {[]*x509.Certificate{a.Cert, b.Cert}, pki.AcceptsBoth, true},
		{[]*x509.Certificate{b.Cert}, pki.AcceptsNew, true}, {[]*x509.Certificate{c.Cert}, pki.AcceptsNone, false}, {nil, pki.AcceptsNone, true},
	} {
		if got := pair.Trust(tc.file); got != tc.want || pair.Only(tc.file) != tc.only {
			t.Errorf("%s, only %t; want %s, %t", got, pair.Only(tc.file), tc.want, tc.only)
		}
	}
	for _, tc := range []struct{ trust, leaf pki.Accepts }{{pki.AcceptsOld, pki.AcceptsBoth}, {pki.AcceptsNew, pki.AcceptsBoth}, {pki.AcceptsBoth, pki.AcceptsOld}, {pki.AcceptsNew, pki.AcceptsNew}} {
		if !tc.trust.Verifies(tc.leaf) {
			t.Errorf("%s does not verify %s", tc.trust, tc.leaf)
		}
	}
	if pki.AcceptsOld.Verifies(pki.AcceptsNew) || pki.AcceptsNew.Verifies(pki.AcceptsOld) || pki.AcceptsBoth.Verifies(pki.AcceptsNone) {
		t.Error("accepts too much")
	}
}
