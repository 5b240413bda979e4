package pki_test

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

func TestParseCA(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	other := pkitest.NewCA(t, pkitest.Spec{})
	rsa := pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
	rsa8 := pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS8, Key: rsa.Key})
	ec8 := pkitest.NewCA(t, pkitest.Spec{Encoding: pkitest.PKCS8})
	params := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	mislabelled := bytes.ReplaceAll(ec8.KeyPEM, []byte("PRIVATE KEY"), []byte("RSA PRIVATE KEY"))
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")})
	chain := append(bytes.Clone(ca.CertPEM), other.CertPEM...)

	type facts struct {
		Layout pki.Layout
		Certs  int
		Key    pki.KeyState
		Err    string
	}
	for name, tc := range map[string]struct {
		data map[string][]byte
		want facts
	}{
		"certgen, SEC1":                      {ca.CASecret(), facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMatches}},
		"helm, PKCS#1":                       {rsa.CASecret(), facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMatches}},
		"RSA in PKCS#8":                      {rsa8.CASecret(), facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMatches}},
		"ECDSA in PKCS#8":                    {ec8.CASecret(), facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMatches}},
		"cert-manager":                       {ec8.TLSSecret(), facts{Layout: pki.LayoutTLS, Certs: 1, Key: pki.KeyMatches}},
		"cert-manager with ca.crt beside it": {map[string][]byte{"ca.crt": other.CertPEM, "tls.crt": ca.CertPEM, "tls.key": ca.KeyPEM}, facts{Layout: pki.LayoutTLS, Certs: 1, Key: pki.KeyMatches}},
		"EC parameters before the key":       {map[string][]byte{"ca.crt": ca.CertPEM, "ca.key": append(bytes.Clone(params), ca.KeyPEM...)}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMatches}},
		"mislabelled key":                    {map[string][]byte{"ca.crt": ec8.CertPEM, "ca.key": mislabelled}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMatches}},
		"chain, key of the first":            {map[string][]byte{"ca.crt": chain, "ca.key": ca.KeyPEM}, facts{Layout: pki.LayoutCA, Certs: 2, Key: pki.KeyMatches}},
		"chain, key of the second":           {map[string][]byte{"ca.crt": chain, "ca.key": other.KeyPEM}, facts{Layout: pki.LayoutCA, Certs: 2, Key: pki.KeyMismatch}},
		"text around the blocks":             {map[string][]byte{"ca.crt": append([]byte("# our CA\n"), ca.CertPEM...), "ca.key": ca.KeyPEM}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMatches}},
		"key of another":                     {map[string][]byte{"ca.crt": ca.CertPEM, "ca.key": other.KeyPEM}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMismatch}},
		"RSA key beside an ECDSA one":        {map[string][]byte{"ca.crt": ca.CertPEM, "ca.key": rsa.KeyPEM}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMismatch}},
		"no key":                             {map[string][]byte{"ca.crt": ca.CertPEM}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyMissing}},
		"encrypted key":                      {map[string][]byte{"ca.crt": ca.CertPEM, "ca.key": encrypted}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyBroken}},
		"certificate for a key":              {map[string][]byte{"ca.crt": ca.CertPEM, "ca.key": ca.CertPEM}, facts{Layout: pki.LayoutCA, Certs: 1, Key: pki.KeyBroken}},
		"key for a certificate":              {map[string][]byte{"ca.crt": ca.KeyPEM, "ca.key": ca.KeyPEM}, facts{Err: `ca.crt: a PEM block of type "EC PRIVATE KEY" among the certificates`}},
		"not PEM":                            {map[string][]byte{"ca.crt": []byte("hello"), "ca.key": ca.KeyPEM}, facts{Err: "ca.crt: it does not contain a certificate"}},
		"nothing":                            {nil, facts{Err: "it contains neither ca.crt nor tls.crt"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, err := pki.ParseCA(tc.data)
			got := facts{Layout: ca.Layout, Certs: len(ca.Chain), Key: ca.Key}
			if err != nil {
				got.Err = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestUsable(t *testing.T) {
	t.Parallel()
	const margin = 14 * pkitest.Day
	for name, tc := range map[string]struct {
		spec pkitest.Spec
		edit func(map[string][]byte)
		want string // part of the error; empty for none
	}{
		"good":              {spec: pkitest.Spec{}},
		"expired":           {spec: pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Second)}, want: "it expired on 2026-11-23"},
		"about to expire":   {spec: pkitest.Spec{NotAfter: pkitest.Now.Add(13 * pkitest.Day)}, want: "in less than 14 days"},
		"not valid yet":     {spec: pkitest.Spec{NotBefore: pkitest.Now.Add(time.Hour)}, want: "it is not valid before"},
		"a leaf":            {spec: pkitest.Spec{NotCA: true}, want: "is not a CA"},
		"without its key":   {edit: func(d map[string][]byte) { delete(d, "ca.key") }, want: "there is no private key"},
		"key of a stranger": {edit: func(d map[string][]byte) { d["ca.key"] = pkitest.NewCA(t, pkitest.Spec{}).KeyPEM }, want: "belongs to another certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := pkitest.NewCA(t, tc.spec).CASecret()
			if tc.edit != nil {
				tc.edit(data)
			}
			ca, err := pki.ParseCA(data)
			if err != nil {
				t.Fatal(err)
			}
			err = ca.Usable(pkitest.Now, margin)
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	reissued := pkitest.NewCA(t, pkitest.Spec{Key: ca.Key})
	if pki.Fingerprint(ca.Cert) == pki.Fingerprint(reissued.Cert) {
		t.Error("a reissued CA must have another fingerprint")
	}
	if pki.SPKIHash(ca.Cert) != pki.SPKIHash(reissued.Cert) {
		t.Error("a CA reissued under its key must keep its SPKI hash")
	}
	if got := pki.Short(pki.Fingerprint(ca.Cert)); len(got) != 8 || !strings.HasPrefix(pki.Fingerprint(ca.Cert), got) {
		t.Errorf("short fingerprint %q", got)
	}
	if !pki.SelfSigned(ca.Cert) || pki.SelfSigned(ca.Intermediate(t, pkitest.Spec{Name: "x"}).Cert) {
		t.Error("self-signed is wrong")
	}
	data := ca.CASecret()
	before := pki.ContentHash(data)
	data["ca.key"] = []byte("other")
	if pki.ContentHash(data) != before {
		t.Error("the content hash must not depend on a key")
	}
}

// FuzzParse feeds arbitrary bytes to every parser: none may panic, none may call something good that Go's own parser does not, and no message may hold
// the key.
func FuzzParse(f *testing.F) {
	ca := pkitest.NewCA(f, pkitest.Spec{})
	f.Add(ca.CertPEM, ca.KeyPEM)
	f.Add(append(bytes.Clone(ca.CertPEM), ca.CertPEM...), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"), []byte{0, 1, 2})
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		for _, data := range []map[string][]byte{{"ca.crt": cert, "ca.key": key}, {"tls.crt": cert, "tls.key": key, "ca.crt": cert}} {
			ca, err := pki.ParseCA(data)
			if err == nil {
				if len(ca.Chain) == 0 {
					t.Fatal("a CA without certificates")
				}
				_ = ca.Usable(pkitest.Now, 0)
				if len(key) > 20 && strings.Contains(ca.KeyNote, string(key)) {
					t.Fatal("the key is in the note")
				}
			} else if strings.ContainsAny(err.Error(), "\x00\x1b\n") {
				t.Fatalf("control characters in %q", err)
			}
			if leaf, err := pki.ParseLeaf(data); err == nil {
				leaf.Problems(pki.LeafSpecs()[0], "us", pkitest.Now)
			}
		}
	})
}
