package pki_test

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

const parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

// TestTrial: what a CA signs must verify as the owner's signer delivers it.
func TestTrial(t *testing.T) {
	t.Parallel()
	one, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{Name: "Other"})
	leaf := one.Issue(t, pkitest.Spec{Name: "remote", DNS: []string{"*.mesh.cilium.io"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
	client := one.Issue(t, pkitest.Spec{Name: "remote", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	cross := other.Cross(t, one)
	limited := pkitest.NewCA(t, pkitest.Spec{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for name, tc := range map[string]struct {
		ca   pkitest.CA
		by   pki.OwnerKind
		leaf pkitest.CA
		want string
	}{
		"a plain CA":                          {one, pki.OwnerHelm, leaf, ""},
		"a bundle with Helm":                  {one.With(other), pki.OwnerHelm, leaf, ""},
		"a bundle with certgen":               {one.With(other), pki.OwnerCertgen, leaf, "does not verify"},
		"a chain with certgen":                {cross.With(other), pki.OwnerCertgen, leaf, ""},
		"a chain of Helm's, cross alone":      {pkitest.CA{Cert: cross.Cert, CertPEM: cross.CertPEM, KeyPEM: one.KeyPEM}, pki.OwnerHelm, leaf, ""},
		"usages for clients, a server":        {limited, pki.OwnerHelm, leaf, "does not verify"},
		"usages for clients, a client":        {limited, pki.OwnerHelm, client, ""},
		"not a CA":                            {one.Issue(t, pkitest.Spec{}), pki.OwnerMeshCA, leaf, "not a CA"},
		"expired":                             {pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)}), pki.OwnerMeshCA, leaf, "expired"},
		"the key of another one":              {pkitest.CA{CertPEM: one.CertPEM, KeyPEM: other.KeyPEM}, pki.OwnerMeshCA, leaf, "belongs to another certificate"},
		"RSA with a path length of 0 is fine": {pkitest.NewCA(t, pkitest.Spec{RSA: true, NoPath: true}), pki.OwnerHelm, leaf, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := pki.Trial(tc.ca.CASecret(), tc.by, []*x509.Certificate{tc.leaf.Cert}, pkitest.Now)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// TestUnreadable: the forms that Helm and certgen cannot read, and what becomes of them when they are encoded again.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	one, rsa := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }
	for name, tc := range map[string]struct {
		cert, key     []byte
		helm, certgen string
		changed       int
	}{
		"plain":                 {one.CertPEM, one.KeyPEM, "", "", 0},
		"plain RSA":             {rsa.CertPEM, rsa.KeyPEM, "", "", 0},
		"without the last line": {bytes.TrimSpace(one.CertPEM), bytes.TrimSpace(one.KeyPEM), "", "", 0},
		"EC PARAMETERS":         {one.CertPEM, append([]byte(parameters), one.KeyPEM...), `"EC PARAMETERS"`, "", 1},
		"text before":           {append([]byte("subject=Cilium CA\n"), one.CertPEM...), one.KeyPEM, "", "", 1},
		"text after":            {append(bytes.Clone(one.CertPEM), []byte("made by hand\n")...), one.KeyPEM, "", "text after the last certificate", 1},
		"CRLF":                  {crlf(one.CertPEM), crlf(one.KeyPEM), "", "", 2},
		"a key that is labelled wrong": {one.CertPEM, bytes.ReplaceAll(one.KeyPEM, []byte("EC PRIVATE"), []byte("RSA PRIVATE")),
			"not of the kind that the first PEM block names", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := map[string][]byte{pki.KeyCACert: tc.cert, pki.KeyCAKey: tc.key}
			for owner, want := range map[pki.OwnerKind]string{pki.OwnerHelm: tc.helm, pki.OwnerCertgen: tc.certgen, pki.OwnerMeshCA: ""} {
				err := pki.Unreadable(owner, data)
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", owner, err, want)
				}
			}
			cert, key, changed, err := pki.Reencode(data)
			if err != nil || len(changed) != tc.changed {
				t.Fatalf("%v, changed %q", err, changed)
			}
			again := map[string][]byte{pki.KeyCACert: cert, pki.KeyCAKey: key}
			for _, owner := range []pki.OwnerKind{pki.OwnerHelm, pki.OwnerCertgen} {
				if err := pki.Unreadable(owner, again); err != nil {
					t.Errorf("%s: %v", owner, err)
				}
			}
			before, _ := pki.ParseCA(data)
			after, err := pki.ParseCA(again)
			if err != nil || after.Key != pki.KeyMatches || !pki.SameCertificates(before.Chain, after.Chain) {
				t.Errorf("%v, key %s", err, after.Key)
			}
			if _, _, changed, _ := pki.Reencode(again); len(changed) > 0 {
				t.Errorf("once more: %q", changed)
			}
		})
	}
	tls := map[string][]byte{pki.KeyTLSCert: one.CertPEM, pki.KeyTLSKey: one.KeyPEM}
	if err := pki.Unreadable(pki.OwnerHelm, tls); err == nil || !strings.Contains(err.Error(), "helm reads ca.crt and ca.key") {
		t.Error(err)
	}
}
