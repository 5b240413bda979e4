package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIssuedCertificateVerifies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		algorithm Algorithm
		keyType   string
	}{
		"rsa as Helm makes it":      {RSA2048, "RSA PRIVATE KEY"},
		"p-256 as certgen makes it": {ECDSAP256, "EC PRIVATE KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			ca, err := NewAuthority(AuthoritySpec{CommonName: "Cilium CA", Algorithm: tc.algorithm, Validity: 1095 * Day, NotBefore: now})
			if err != nil {
				t.Fatal(err)
			}
			pair, err := ca.Issue(LeafSpec{
				CommonName: "clustermesh-apiserver.cilium.io", Algorithm: tc.algorithm, Validity: 365 * Day,
				DNSNames: []string{"*.mesh.cilium.io"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: now,
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tls.X509KeyPair(pair.Cert, pair.Key); err != nil {
				t.Errorf("key does not match its certificate: %v", err)
			}
			block, _ := pem.Decode(pair.Key)
			if diff := cmp.Diff(tc.keyType, block.Type); diff != "" {
				t.Errorf("kind of key (-want +got):\n%s", diff)
			}
			leaf := parse(t, pair.Cert)
			roots := x509.NewCertPool()
			roots.AddCert(parse(t, ca.Cert))
			for _, host := range []string{"eu.mesh.cilium.io", "127.0.0.1"} {
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now.Add(Day)}); err != nil {
					t.Errorf("verify for %s: %v", host, err)
				}
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now.Add(366 * Day)}); err == nil {
				t.Error("an expired certificate was accepted")
			}
		})
	}
}

func TestAuthoritiesOfOneNameDiffer(t *testing.T) {
	t.Parallel()
	spec := AuthoritySpec{CommonName: "Cilium CA", Algorithm: ECDSAP256, Validity: Day, NotBefore: time.Now()}
	us, err := NewAuthority(spec)
	if err != nil {
		t.Fatal(err)
	}
	eu, err := NewAuthority(spec)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := us.Issue(LeafSpec{CommonName: "remote", Algorithm: ECDSAP256, Validity: Day, NotBefore: time.Now(),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parse(t, eu.Cert))
	_, err = parse(t, pair.Cert).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil {
		t.Error("eu's authority accepted a certificate of us")
	}
}

func TestUnknownAlgorithm(t *testing.T) {
	t.Parallel()
	if _, err := NewKey("dsa"); err == nil {
		t.Error("want an error for an unknown algorithm")
	}
}

func parse(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(data)
	if block == nil || len(rest) != 0 {
		t.Fatalf("not exactly one PEM block: %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
