package keytest

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// TestKeysAreFound: the search finds a key in each form in which Go programs print one, wherever it begins, and it does not take certificates for keys.
func TestKeysAreFound(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]pkitest.Spec{
		"SEC1": {}, "PKCS 8": {Encoding: pkitest.PKCS8}, "PKCS 1": {RSA: true, Encoding: pkitest.PKCS1}, "RSA in PKCS 8": {RSA: true, Encoding: pkitest.PKCS8},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec.NotAfter = time.Now().Add(time.Hour)
			ca, other := pkitest.NewCA(t, spec), pkitest.NewCA(t, spec)
			k := New()
			k.Take(ca.KeyPEM)
			block, _ := pem.Decode(ca.KeyPEM)
			private := scalar(block.Bytes)
			secret, err := json.Marshal(corev1.Secret{Data: ca.CASecret()})
			must(t, err)
			quoted, err := json.Marshal(string(ca.KeyPEM))
			must(t, err)
			body := strings.Join(strings.Split(string(ca.KeyPEM), "\n")[1:], "\n")
			printed := map[string]string{
				"PEM": string(ca.KeyPEM), "PEM without its header": body, "PEM in JSON": string(quoted), "Secret": string(secret),
				"base64 of DER": base64.StdEncoding.EncodeToString(block.Bytes), "base64 of PEM": base64.StdEncoding.EncodeToString(ca.KeyPEM),
				"hex of DER": hex.EncodeToString(block.Bytes), "%X": fmt.Sprintf("%X", block.Bytes), "% x": fmt.Sprintf("% x", private), "hex of PEM": hex.EncodeToString(ca.KeyPEM),
				"%v of DER": fmt.Sprintf("%v", block.Bytes), "%v of PEM": fmt.Sprintf("%v", ca.KeyPEM), "raw": string(block.Bytes), "decimal": number(private).String(),
			}
			switch key := ca.Key.(type) {
			case *ecdsa.PrivateKey:
				printed["%v"] = fmt.Sprintf("%v", key)
			case *rsa.PrivateKey:
				printed["%v"] = fmt.Sprintf("%v", key)
			}
			for form, text := range printed {
				for shift := range 4 {
					if _, at := k.Find(strings.Repeat("x", 100+shift) + text + "\n"); at < 0 {
						t.Errorf("%s, shifted by %d: not found", form, shift)
					}
				}
			}
			for what, text := range map[string]string{
				"certificate": string(ca.CertPEM), "its DER": fmt.Sprintf("%v", ca.Cert.Raw), "in a Secret": base64.StdEncoding.EncodeToString(ca.CertPEM), "its hex": hex.EncodeToString(ca.Cert.Raw),
				"another key": strings.Split(string(other.KeyPEM), "\n")[2],
			} {
				if form, at := k.Find(text); at >= 0 {
					t.Errorf("%s is taken for a key (%s)", what, form)
				}
			}
		})
	}
}

// TestSearchInPieces: a key that lies across the end of a piece is found.
func TestSearchInPieces(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	k := New()
	k.Take(ca.KeyPEM)
	found := &counting{TB: t}
	body := strings.Split(string(ca.KeyPEM), "\n")[1]
	k.SearchAll(found, "log", strings.NewReader(strings.Repeat(" ", 4<<20-30)+body))
	if found.errors == 0 {
		t.Error("not found")
	}
}

// counting counts errors instead of failing.
type counting struct {
	testing.TB

	errors int
}

func (c *counting) Errorf(string, ...any) { c.errors++ }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
