package pki_test

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// TestTooManyCrosses: with as many cross certificates as are allowed, Go's verifier finds each of them, whatever its position. With one more it gives up.
func TestTooManyCrosses(t *testing.T) {
	t.Parallel()
	const most = 9
	for name, c := range map[string]struct {
		n       int
		subject func(n int) string
		tooMany bool
		verify  bool
	}{
		"as many as are allowed": {most, func(int) string { return "" }, false, true},
		"one more":               {most + 1, func(int) string { return "" }, true, false},
		"many of other names":    {40, func(n int) string { return fmt.Sprint("CA ", n) }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := pkitest.NewCA(t, pkitest.Spec{})
			leaf := own.Issue(t, pkitest.Spec{Name: "remote"})
			var peers []pkitest.CA
			chain := []*x509.Certificate{leaf.Cert}
			for n := range c.n {
				peer := pkitest.NewCA(t, pkitest.Spec{Name: c.subject(n)})
				peers, chain = append(peers, peer), append(chain, peer.Cross(t, own).Cert)
			}
			if err := pki.TooManyCrosses(chain); (err != nil) != c.tooMany {
				t.Error(err)
			}
			var failed error
			for _, peer := range peers {
				failed = cmp.Or(failed, pki.Verifies(chain, peer.Cert, pkitest.Now))
			}
			if (failed == nil) != c.verify || failed != nil && !strings.Contains(failed.Error(), "give up after they have tried 100 links") {
				t.Error(failed)
			}
		})
	}
}

// TestParseAuthority: in a federation the first certificate of cilium-ca is not always the one by which the CA is known.
func TestParseAuthority(t *testing.T) {
	t.Parallel()
	own, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
	cross := other.Cross(t, own)
	below := other.Intermediate(t, pkitest.Spec{Name: "below"})
	data := func(key []byte, certs ...*x509.Certificate) map[string][]byte {
		return map[string][]byte{"ca.crt": pki.EncodeCertificates(certs...), "ca.key": key}
	}
	for name, c := range map[string]struct {
		data map[string][]byte
		want *x509.Certificate
	}{
		"alone":                {data(own.KeyPEM, own.Cert), own.Cert},
		"as Helm needs it":     {data(own.KeyPEM, pki.HelmFederation(own.Cert, []*x509.Certificate{other.Cert})...), own.Cert},
		"as certgen needs it":  {data(own.KeyPEM, pki.CertgenFederation(own.Cert, []*x509.Certificate{cross.Cert})...), own.Cert},
		"only a cross":         {data(own.KeyPEM, cross.Cert), nil},
		"below another CA":     {data(below.KeyPEM, below.Cert, other.Cert), nil},
		"the key of another":   {data(other.KeyPEM, own.Cert), nil},
		"nothing that parses":  {map[string][]byte{"ca.crt": []byte("x")}, nil},
		"the wrong one first":  {data(own.KeyPEM, other.Cert, own.Cert), nil},
		"without certificates": {map[string][]byte{}, nil},
	} {
		got, err := pki.ParseAuthority(c.data)
		if (err == nil) != (c.want != nil) || err == nil && !got.Cert.Equal(c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestCross tells a cross certificate from everything else, and when it must be made again.
func TestCross(t *testing.T) {
	t.Parallel()
	own, other, third := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	cross := other.Cross(t, own).Cert
	if !pki.IsCross(cross, own.Cert, other.Cert) {
		t.Error("a cross certificate is not one")
	}
	for name, c := range map[string][3]*x509.Certificate{
		"self-signed":    {own.Cert, own.Cert, own.Cert},
		"the other way":  {cross, other.Cert, own.Cert},
		"by a third CA":  {cross, own.Cert, third.Cert},
		"of a third CA":  {cross, third.Cert, other.Cert},
		"another signed": {third.Cert, own.Cert, other.Cert},
	} {
		if pki.IsCross(c[0], c[1], c[2]) {
			t.Errorf("%s: it is a cross certificate", name)
		}
	}
	renewed := pkitest.NewCA(t, pkitest.Spec{Key: own.Key, NotAfter: pkitest.Now.Add(3650 * pkitest.Day)})
	longer := pkitest.NewCA(t, pkitest.Spec{Key: other.Key, NotAfter: pkitest.Now.Add(3650 * pkitest.Day)})
	if !pki.CrossLasts(cross, own.Cert, other.Cert, pkitest.Now) || !pki.CrossLasts(cross, renewed.Cert, other.Cert, pkitest.Now) {
		t.Error("it ends with the CA that signed it, and no new one would last longer")
	}
	if pki.CrossLasts(cross, renewed.Cert, longer.Cert, pkitest.Now) || pki.CrossLasts(cross, own.Cert, other.Cert, pkitest.Now.Add(2000*pkitest.Day)) {
		t.Error("both CAs were issued again for longer, or it has expired")
	}
}
