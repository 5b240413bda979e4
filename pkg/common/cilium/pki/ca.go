package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// SecretCA is the Secret that holds a cluster's CA. Its name is fixed (cilium Helm chart, templates/cilium-ca-secret.yaml; certgen; cilium-cli).
const SecretCA = "cilium-ca"

// OldCASecrets are the names under which charts up to 1.11, and cilium-cli beside them, kept the CAs of Cluster Mesh and of Hubble. No chart since reads them
// (cilium-cli issue 300).
func OldCASecrets() []string { return []string{"clustermesh-apiserver-ca-cert", "hubble-ca-secret"} }

// Data keys of the Secrets. cilium-ca has ca.crt and ca.key when Helm, certgen or a person made it, tls.crt and tls.key when cert-manager did
// (cilium-cli getCACert tries them in this order); a leaf Secret has ca.crt, tls.crt and tls.key.
const (
	KeyCACert  = "ca.crt"
	KeyCAKey   = "ca.key"
	KeyTLSCert = "tls.crt"
	KeyTLSKey  = "tls.key"
)

// Layout names the pair of data keys in which a CA is kept.
type Layout struct{ Cert, Key string }

// The two layouts of Secret cilium-ca.
var (
	// LayoutCA is what Helm and certgen write.
	LayoutCA = Layout{Cert: KeyCACert, Key: KeyCAKey}
	// LayoutTLS is what cert-manager writes, in a Secret of type kubernetes.io/tls.
	LayoutTLS = Layout{Cert: KeyTLSCert, Key: KeyTLSKey}
)

// CA holds the facts about a cluster's CA; the private key is not among them.
type CA struct {
	Layout Layout
	// Chain is every certificate of the file. The first one signs; ParseCA explains how certgen uses the others.
	Chain []*x509.Certificate
	Key   KeyState
	// KeyNote is the reason why Key is not KeyMatches.
	KeyNote string
}

// Signer returns the certificate that signs the leaf certificates: the first one.
func (c CA) Signer() *x509.Certificate { return c.Chain[0] }

// TrustedBy reports whether a CA file verifies the leaf certificates that are issued with this CA. In a federation the file of the CA may contain several
// certificates of the signer: itself, and a cross certificate for each other CA, in any order.
func (c CA) TrustedBy(roots []*x509.Certificate) bool {
	return slices.ContainsFunc(c.Chain, func(cert *x509.Certificate) bool { return SameAuthority(cert, c.Signer()) && Trusts(roots, cert) })
}

// ParseCA reads the data of Secret cilium-ca. A CA without a key, or with a wrong key, is returned with that fact in Key, because its certificate is still
// worth showing. An error means that there is no certificate.
//
// Several certificates in the file are a chain, not a bundle: certgen v0.3.1 and later signs with the first (it must match the key), hands the last
// alone to the leaf certificates as ca.crt, and appends the others to tls.crt; earlier ones refuse the file. Helm's method uses the whole file as ca.crt.
// Source: certgen internal/generate/generate.go; charts 1.15 to 1.20.
func ParseCA(data map[string][]byte) (CA, error) {
	layout := LayoutCA
	if len(data[KeyCACert]) == 0 || (len(data[KeyCAKey]) == 0 && len(data[KeyTLSKey]) > 0) {
		layout = LayoutTLS
	}
	raw := data[layout.Cert]
	if len(raw) == 0 {
		return CA{}, fmt.Errorf("it contains neither %s nor %s", KeyCACert, KeyTLSCert)
	}
	chain, err := ParseCertificates(raw)
	if err != nil {
		return CA{}, fmt.Errorf("%s: %w", layout.Cert, err)
	}
	ca := CA{Layout: layout, Chain: chain}
	state, err := CheckKey(chain[0], data[layout.Key])
	ca.Key = state
	if err != nil {
		ca.KeyNote = err.Error()
	}
	return ca, nil
}

// Usable says why this CA must not be handed to other clusters, or nil. A CA that expires within margin is refused as well: certgen v0.4.0 and
// later does not sign with an expired one, and nobody renews a CA (neither Helm nor certgen do).
func (c CA) Usable(now time.Time, margin time.Duration) error {
	cert := c.Signer()
	switch {
	case c.Key != KeyMatches:
		return errors.New(c.KeyNote)
	case !IsCA(cert):
		return fmt.Errorf("certificate %q is not a CA (basic constraints or key usage do not allow it to sign)", clean(cert.Subject.String()))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("it is not valid before %s", cert.NotBefore.UTC().Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("it expired on %s", cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Add(margin).After(cert.NotAfter):
		return fmt.Errorf("it expires on %s, in less than %d days", cert.NotAfter.UTC().Format(time.RFC3339), int(margin.Hours()/24))
	}
	return nil
}

// ContentHash is a hash over the certificate parts of a Secret whose CA does not parse, so that its backup has a name too. Keys are left out:
// not even a hash of one is shown.
func ContentHash(data map[string][]byte) string {
	h := sha256.New()
	for _, k := range []string{KeyCACert, KeyTLSCert} {
		h.Write([]byte(k))
		h.Write([]byte{0})
		h.Write(data[k])
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}
