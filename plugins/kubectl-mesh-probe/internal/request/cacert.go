package request

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// ParseCACert checks the content of the file that --cacert names. It returns only the certificates, without comments.
func ParseCACert(data []byte) ([]byte, error) {
	if len(data) > maxTrust {
		return nil, fmt.Errorf("the file is larger than %d KiB", maxTrust>>10)
	}
	var out bytes.Buffer
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if strings.Contains(b.Type, "PRIVATE KEY") {
			return nil, errors.New("the file contains a private key, which must not be sent to the pod; use a file that contains only certificates")
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(b.Bytes); err != nil {
			return nil, fmt.Errorf("cannot parse a certificate: %w", err)
		}
		if err := pem.Encode(&out, &pem.Block{Type: b.Type, Bytes: b.Bytes}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("the file does not contain a certificate in PEM form")
	}
	return out.Bytes(), nil
}

// maxTrust is the maximum size of the file. The trust bundle of an operating system has a quarter of it.
const maxTrust = 1 << 20
