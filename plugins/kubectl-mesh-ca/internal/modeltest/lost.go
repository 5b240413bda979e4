package modeltest

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Lost says which key or former CA a cluster does not have any more, by all its Secrets: the CA of the beginning must be in one of them with its key, and so must the key of
// every CA that issued a leaf certificate which is in use.
func Lost(secrets []corev1.Secret, first *x509.Certificate) []string {
	var out []string
	keys, certs := contents(secrets)
	if !keys.has(first.PublicKey) {
		out = append(out, "the key of the first CA is lost")
	}
	if !slices.ContainsFunc(certs, first.Equal) {
		out = append(out, "the certificate of the first CA is lost")
	}
	for _, secret := range secrets {
		if !slices.ContainsFunc(pki.LeafSpecs(), func(l pki.LeafSpec) bool { return l.Secret == secret.Name }) {
			continue
		}
		leaf, err := pki.ParseLeaf(secret.Data)
		if err != nil || leaf.Key != pki.KeyMatches {
			out = append(out, fmt.Sprintf("%s: %v, key %v", secret.Name, err, leaf.Key))
			continue
		}
		if !issued(leaf.Cert(), certs, keys) {
			out = append(out, "the key of the CA that issued "+secret.Name+" is lost")
		}
	}
	return out
}

// issued reports whether one of the certificates signed a leaf certificate, and its key is there.
func issued(leaf *x509.Certificate, certs []*x509.Certificate, keys publicKeys) bool {
	return slices.ContainsFunc(certs, func(c *x509.Certificate) bool {
		return c.IsCA && leaf.CheckSignatureFrom(c) == nil && keys.has(c.PublicKey)
	})
}

// publicKeys are those of the private keys that were found.
type publicKeys []crypto.PublicKey

func (k publicKeys) has(key crypto.PublicKey) bool {
	return slices.ContainsFunc(k, func(have crypto.PublicKey) bool {
		equal, ok := have.(interface{ Equal(x crypto.PublicKey) bool })
		return ok && equal.Equal(key)
	})
}

// contents are all keys and certificates of some Secrets.
func contents(secrets []corev1.Secret) (publicKeys, []*x509.Certificate) {
	var keys publicKeys
	var certs []*x509.Certificate
	for _, s := range secrets {
		for _, value := range s.Data {
			for rest := value; ; {
				var block *pem.Block
				if block, rest = pem.Decode(rest); block == nil {
					break
				}
				if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
					certs = append(certs, cert)
				} else if signer := PrivateKey(block.Bytes); signer != nil {
					keys = append(keys, signer.Public())
				}
			}
		}
	}
	return keys, certs
}

// PrivateKey parses a key in any of the encodings that are met; nil for what is not one.
func PrivateKey(der []byte) crypto.Signer {
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	if parsed, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if key, ok := parsed.(crypto.Signer); ok {
			return key
		}
	}
	return nil
}
