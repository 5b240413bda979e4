package probe

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// maxTrust is the size of the file of --cacert; a whole system's bundle has a quarter of it.
const maxTrust = 1 << 20

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

// prepare gives a stream what its run needs besides the settings.
func (s *stream) prepare(ctx context.Context, cfg Config) error {
	if len(cfg.CACert) == 0 {
		return nil
	}
	return s.trust(ctx, cfg.CACert)
}

// TLSHint says how to go on when no request got through TLS; empty if one did.
func TLSHint(cfg Config, results ...Result) string {
	requests := 0
	for _, r := range results {
		if r.tlsFailures < r.Requests {
			return ""
		}
		requests += r.Requests
	}
	switch {
	case requests == 0:
		return ""
	case cfg.Insecure:
		return "Every request failed in TLS, although --insecure skips the verification. Check that the port speaks TLS, and which versions the server accepts."
	case len(cfg.CACert) > 0:
		return "Every request failed in TLS. Check that the file of --cacert holds the CA of the server's certificate, and that the certificate names the host of the URL."
	}
	return "Every request failed in TLS. If the client pod does not trust the server's certificate, name its CA with --cacert FILE, or skip the verification with --insecure."
}
