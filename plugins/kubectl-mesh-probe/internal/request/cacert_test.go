package request

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

func TestField02ParseCACert(t *testing.T) {
	t.Parallel()
	cert := newOtherCA(t)
	got, err := ParseCACert(append([]byte("# a comment\n"), append(bytes.ReplaceAll(cert, []byte("\n"), []byte("\r\n")), cert...)...))
	if err != nil || !bytes.Equal(got, append(bytes.Clone(cert), cert...)) {
		t.Errorf("%v\n%s", err, got)
	}
	for name, data := range map[string][]byte{
		"empty": nil, "text": []byte("hello"), "key": append(bytes.Clone(cert), pemOf("PRIVATE KEY", []byte("x"))...),
		"broken": pemOf("CERTIFICATE", []byte("x")), "request": pemOf("CERTIFICATE REQUEST", []byte("x")), "huge": make([]byte, maxTrust+1),
	} {
		if _, err := ParseCACert(data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// newOtherCA is a valid CA certificate.
func newOtherCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("CERTIFICATE", der)
}
