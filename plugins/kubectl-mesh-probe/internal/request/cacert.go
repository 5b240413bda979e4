package request

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ParseCACert checks the content of the file of --cacert and returns its certificates alone, without comments.
func ParseCACert(data []byte) ([]byte, error) {
	if len(data) > maxTrust {
		return nil, fmt.Errorf("it is larger than %d KiB", maxTrust>>10)
	}
	var out bytes.Buffer
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if strings.Contains(b.Type, "PRIVATE KEY") {
			return nil, errors.New("it holds a private key, which must not be sent to the pod; give a file with certificates only")
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return nil, fmt.Errorf("one of its certificates does not parse: %w", err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: b.Type, Bytes: b.Bytes}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("it holds no certificate in PEM form")
	}
	return out.Bytes(), nil
}

// maxTrust is the size of the file of --cacert; a whole system's bundle has a quarter of it.
const maxTrust = 1 << 20
