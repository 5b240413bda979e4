package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// KeyState says how a private key relates to the certificate beside it.
type KeyState string

// The states of a key.
const (
	KeyMatches  KeyState = "ok"
	KeyMismatch KeyState = "mismatch" // it belongs to another certificate
	KeyMissing  KeyState = "missing"  // there is none: such a CA verifies but cannot sign
	KeyBroken   KeyState = "broken"   // it does not parse, or is encrypted
)

// CheckKey compares a PEM private key with a certificate. The key itself never leaves this function, and no error carries bytes of it.
func CheckKey(cert *x509.Certificate, data []byte) (KeyState, error) {
	if len(data) == 0 {
		return KeyMissing, errors.New("there is no private key")
	}
	key, err := parsePrivateKey(data)
	if err != nil {
		return KeyBroken, err
	}
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return KeyBroken, fmt.Errorf("private keys of type %T are not supported", key)
	}
	if !pub.Equal(cert.PublicKey) {
		return KeyMismatch, errors.New("the private key belongs to another certificate")
	}
	return KeyMatches, nil
}

// parsePrivateKey reads the one private key of a PEM file: PKCS#1 (Helm's genCA), SEC1 (certgen and cert-manager with ECDSA) or PKCS#8. An
// "EC PARAMETERS" block before it, as `openssl ecparam -genkey` writes one, is skipped.
// Errors of crypto/x509 are replaced: they say nothing a user can act on, and a parser's error may quote its input.
func parsePrivateKey(data []byte) (crypto.Signer, error) {
	if len(data) > maxPEM {
		return nil, errors.New("the private key is too large")
	}
	for rest := data; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New("no private key in PEM form" + hint(data))
		}
		switch block.Type {
		case "EC PARAMETERS":
			continue
		case "RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errors.New("the private key is encrypted")
			}
			return parseKeyBytes(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the private key is encrypted")
		default:
			return nil, fmt.Errorf("a PEM block of type %q where a private key is expected", clean(block.Type))
		}
	}
}

// parseKeyBytes tries the three encodings whatever the block was called, as crypto/tls does: tools mislabel them.
func parseKeyBytes(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the private key does not parse")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	default:
		return nil, fmt.Errorf("private keys of type %T are not supported", key)
	}
}
