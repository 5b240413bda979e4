package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Issues returns what the signer of an owner makes of the certificates in cilium-ca: the CA file that it writes beside each leaf certificate, and the
// certificates that it appends to the leaf certificate.
//
// certgen v0.3.1 and later writes the last certificate alone, and appends all others. Helm's genSignedCert writes the whole file and appends nothing. What
// is signed without either is made as Helm makes it.
// Source: certgen internal/generate/generate.go; sprig v3.3.0 crypto.go; charts 1.16 to 1.20.
func Issues(by OwnerKind, chain []*x509.Certificate) (trust, appended []*x509.Certificate) {
	if by == OwnerCertgen && len(chain) > 1 {
		last := len(chain) - 1
		return chain[last:], chain[:last]
	}
	return chain, nil
}

// Trial signs each of the given leaf certificates again, as the signer of an owner would do with a CA, and verifies the results as Cilium's processes do. It
// finds what no look at the CA alone does: usages and name constraints of the CA, and a file whose last certificate did not sign the first. The results and
// their keys are discarded.
func Trial(data map[string][]byte, by OwnerKind, leaves []*x509.Certificate, now time.Time) error {
	ca, err := ParseCA(data)
	if err != nil {
		return err
	}
	signer, err := ParseSigner(data)
	if err != nil {
		return err
	}
	if err := ca.Usable(now, 0); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	trust, appended := Issues(by, ca.Chain)
	for _, previous := range leaves {
		made, err := signer.ReissueWith(previous, now, key)
		if err != nil {
			return fmt.Errorf("it cannot sign %q again: %w", clean(previous.Subject.CommonName), err)
		}
		chain := append([]*x509.Certificate{made.Cert}, appended...)
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if !allows(previous, use) {
				continue
			}
			if err := verifyChain(chain, trust, purpose(use), "", now); err != nil {
				return fmt.Errorf("a certificate for %q that it signs does not verify: %w", clean(previous.Subject.CommonName), err)
			}
		}
	}
	return nil
}

// Unreadable says what the signer of an owner cannot read in the text of a CA, or nil. It does not verify anything; see Trial.
//
//   - Helm needs a private key in the first PEM block of ca.key: an "EC PARAMETERS" block before it fails (sprig v3.3.0, parsePrivateKeyPEM);
//   - certgen fails on text after the last certificate (cfssl ParseCertificatesPEM, which certgen uses);
//   - both read ca.crt and ca.key, and not the keys that cert-manager writes.
func Unreadable(by OwnerKind, data map[string][]byte) error {
	ca, err := ParseCA(data)
	if err != nil {
		return err
	}
	if by != OwnerHelm && by != OwnerCertgen {
		return nil
	}
	if ca.Layout != LayoutCA {
		return fmt.Errorf("%s reads %s and %s, and it contains %s and %s", by, KeyCACert, KeyCAKey, KeyTLSCert, KeyTLSKey)
	}
	cert, key := data[KeyCACert], data[KeyCAKey]
	if parts := HiddenParts(cert); len(parts) > 0 {
		return fmt.Errorf("%s: %s", KeyCACert, parts[0].Reason)
	}
	if by == OwnerHelm {
		return unreadableKey(key)
	}
	for rest := bytes.TrimSpace(cert); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		block, after := pem.Decode(rest)
		if block == nil {
			return fmt.Errorf("%s: certgen does not accept text after the last certificate", KeyCACert)
		}
		rest = after
	}
	return nil
}

// unreadableKey is the rule of Helm for a private key. No byte of it is in the error.
func unreadableKey(key []byte) error {
	block, _ := pem.Decode(key)
	switch {
	case block == nil:
		return fmt.Errorf("%s: no private key in PEM form", KeyCAKey)
	case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return fmt.Errorf("%s: Helm needs the private key in the first PEM block, and that is %q", KeyCAKey, clean(block.Type))
	}
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		_, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		_, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		_, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil { // it would quote what it cannot parse
		return fmt.Errorf("%s: the private key is not of the kind that the first PEM block names (%q)", KeyCAKey, clean(block.Type))
	}
	return nil
}

// ErrNoSigner says that a CA cannot be encoded again, because it has no usable key.
var ErrNoSigner = errors.New("it has no private key that fits")

// Reencode returns the certificate file and the key file of a CA in the form that every signer reads, and says what it changed; nothing if both are in that
// form already. The certificates and the key themselves stay the same.
func Reencode(data map[string][]byte) (cert, key []byte, changed []string, err error) {
	ca, err := ParseCA(data)
	if err != nil {
		return nil, nil, nil, err
	}
	if ca.Key != KeyMatches {
		return nil, nil, nil, ErrNoSigner
	}
	cert, key = data[ca.Layout.Cert], data[ca.Layout.Key]
	plain := EncodeCertificates(ca.Chain...)
	if !bytes.Equal(bytes.TrimSpace(cert), bytes.TrimSpace(plain)) {
		changed = append(changed, ca.Layout.Cert+" ("+oddity(cert)+")")
		cert = plain
	}
	block, _ := pem.Decode(key)
	if block == nil || unreadableKey(key) != nil || !bytes.Equal(bytes.TrimSpace(key), bytes.TrimSpace(pem.EncodeToMemory(block))) {
		parsed, err := parsePrivateKey(key)
		if err != nil {
			return nil, nil, nil, err
		}
		changed = append(changed, ca.Layout.Key+" ("+oddity(key)+")")
		if key, err = encodeKey(parsed); err != nil {
			return nil, nil, nil, err
		}
	}
	return cert, key, changed, nil
}

// oddity says in a few words what is unusual about a PEM file, without any of its content.
func oddity(data []byte) string {
	switch {
	case bytes.Contains(data, []byte("EC PARAMETERS")):
		return "a block with EC PARAMETERS"
	case bytes.Contains(data, []byte("\r")):
		return "line ends of Windows"
	}
	return "text around the blocks, or line breaks at other places"
}
