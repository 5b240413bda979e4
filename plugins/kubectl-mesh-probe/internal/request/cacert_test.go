package request

import (
	"bytes"
	"encoding/pem"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

func TestField02ParseCACert(t *testing.T) {
	t.Parallel()
	cert := pkitest.NewCA(t, pkitest.Spec{}).CertPEM
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
