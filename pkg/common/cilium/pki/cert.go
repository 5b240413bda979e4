package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	blockCertificate = "CERTIFICATE"
	// maxPEM bounds what is parsed. An API server refuses Secrets above 1 MiB anyway.
	maxPEM = 1 << 20
)

// ErrNoCertificate says that the data does not contain a PEM certificate.
var ErrNoCertificate = errors.New("it does not contain a certificate")

// ParseCertificates reads every certificate of a PEM file, in order. As in crypto/x509's AppendCertsFromPEM text between the blocks is allowed;
// but a block that is not a certificate, or does not parse, is an error: etcd does not start with such a file
// (etcd client/pkg/tlsutil NewCertPool), so it must not look good here. Text that PEM readers do not see is skipped, as by etcd; HiddenParts finds it.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxPEM {
		return nil, fmt.Errorf("%d bytes are too much for a certificate file", len(data))
	}
	var certs []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != blockCertificate {
			return nil, fmt.Errorf("a PEM block of type %q among the certificates", clean(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%w%s", ErrNoCertificate, hint(data))
	}
	return certs, nil
}

// Fingerprint is the SHA-256 of the whole certificate, as `openssl x509 -fingerprint -sha256` computes it, in lower-case hex without colons.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// SPKIHash is the SHA-256 of the certificate's public key. Two certificates with one SPKIHash belong to the same key: a CA that was reissued under
// its old key still verifies the leaf certificates of the earlier certificate.
func SPKIHash(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// SubjectKeyID is the certificate's subject key identifier in hex, or "" when it has none. It is all that `cilium clustermesh connect` compares
// (cilium-cli validateCAMatch), and two CAs without one compare equal there; we never decide by it.
func SubjectKeyID(cert *x509.Certificate) string { return hex.EncodeToString(cert.SubjectKeyId) }

// shortDigits is how much of a fingerprint tables show: 32 bits tell the few CAs of a mesh apart.
const shortDigits = 8

// Short is the beginning of a fingerprint, for people.
func Short(fingerprint string) string {
	if len(fingerprint) > shortDigits {
		return fingerprint[:shortDigits]
	}
	return fingerprint
}

// SameCertificate reports whether two certificate files begin with the same certificate, whatever their line breaks and comments.
func SameCertificate(a, b *x509.Certificate) bool { return a != nil && b != nil && a.Equal(b) }

// IsCA reports whether a certificate may sign others: basic constraints present and true and, when key usages are named at all, certSign among them.
// Go's verifier trusts a root without asking this; cfssl (certgen) and OpenSSL do ask.
func IsCA(cert *x509.Certificate) bool {
	return cert.BasicConstraintsValid && cert.IsCA && (cert.KeyUsage == 0 || cert.KeyUsage&x509.KeyUsageCertSign != 0)
}

// SelfSigned reports whether a certificate is signed by its own key, that is whether it is a root and not an intermediate.
func SelfSigned(cert *x509.Certificate) bool {
	return bytes.Equal(cert.RawSubject, cert.RawIssuer) && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// clean makes a word out of a certificate or Secret fit for a message: control characters are dropped, long values cut.
func clean(s string) string {
	const limit = 120
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "..."
	}
	return s
}
