package pki

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"
)

// Relation says how a leaf certificate relates to a CA.
type Relation string

// The relations. With the first two the leaf certificate verifies where the CA is trusted, apart from clock and usages.
const (
	// Direct: the CA's key signed it, under the CA's name.
	Direct Relation = "direct"
	// Cross: another key signed it, and the chain that is presented with it contains a certificate of that key which the CA signed.
	Cross Relation = "cross"
	// Renamed: the CA's key signed it, but under another subject. No verifier follows such a chain: names are compared byte by byte
	// (RFC 5280 7.1 as crypto/x509 implements it).
	Renamed Relation = "renamed"
	// Foreign: another key signed it.
	Foreign Relation = "foreign"
)

// SignedBy reports whether the chain ends at the given certificate authority, whatever the clock says: an expired leaf is still signed.
// The chain may contain several cross certificates of the signer, one for each CA by which it is to be trusted.
func (l Leaf) SignedBy(ca *x509.Certificate) bool {
	return ca != nil && len(l.Chain) > 0 && (issuedBy(l.Chain[0], ca) || l.crossed(ca))
}

// Relation says how the leaf certificate relates to a CA, whatever the clock says.
func (l Leaf) Relation(ca *x509.Certificate) Relation {
	switch {
	case ca == nil || len(l.Chain) == 0:
		return Foreign
	case issuedBy(l.Chain[0], ca):
		return Direct
	case l.crossed(ca):
		return Cross
	case signedWith(l.Chain[0], ca):
		return Renamed
	}
	return Foreign
}

// crossed looks for a path from the leaf certificate over the other certificates of the chain, in any order, to a CA.
func (l Leaf) crossed(ca *x509.Certificate) bool {
	rest := l.Chain[1:]
	seen := make([]bool, len(rest))
	for reached := []*x509.Certificate{l.Chain[0]}; len(reached) > 0; {
		cert := reached[0]
		reached = reached[1:]
		for i, parent := range rest {
			if seen[i] || !issuedBy(cert, parent) {
				continue
			}
			if issuedBy(parent, ca) {
				return true
			}
			seen[i] = true
			reached = append(reached, parent)
		}
	}
	return false
}

// Above returns those of the certificates sent with a leaf certificate that lead from its signer to other CAs, in their order: certificates of the signer's name
// and key, as cross certificates are, and whatever signed one of these or the signer.
func Above(signer *x509.Certificate, sent []*x509.Certificate) []*x509.Certificate {
	out := []*x509.Certificate{}
	leads := func(c *x509.Certificate) bool {
		return SameAuthority(c, signer) || issuedBy(signer, c) || slices.ContainsFunc(out, func(below *x509.Certificate) bool { return issuedBy(below, c) })
	}
	for found := 0; ; found = len(out) { // until nothing is found any more: a certificate may come before the one that it signed
		for _, c := range sent {
			if !slices.ContainsFunc(out, c.Equal) && leads(c) {
				out = append(out, c)
			}
		}
		if len(out) == found {
			return out
		}
	}
}

// issuedBy compares names as well as the signature: a CA reissued under its old key but with another subject does not verify the old leaf certificates.
func issuedBy(cert, parent *x509.Certificate) bool {
	return bytes.Equal(cert.RawIssuer, parent.RawSubject) && cert.CheckSignatureFrom(parent) == nil
}

// signedWith reports whether the key of a certificate made the signature, whatever the names say.
func signedWith(cert, parent *x509.Certificate) bool {
	return parent.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) == nil
}

// SameAuthority reports whether two certificates are of one CA: leaf certificates that one of them signed verify with the other. A CA that was
// reissued under its key and its name is the same; under another name it is not.
func SameAuthority(a, b *x509.Certificate) bool {
	return a != nil && b != nil && bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// SameKey reports whether two certificates are of one key.
func SameKey(a, b *x509.Certificate) bool {
	return a != nil && b != nil && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// Trusts reports whether a CA file verifies the leaf certificates of a CA: it contains that CA, or one that signed its certificate.
func Trusts(roots []*x509.Certificate, signer *x509.Certificate) bool {
	// Comparing is much cheaper than verifying, and all of Cilium's own CAs have the same name.
	return slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return SameAuthority(c, signer) }) ||
		slices.ContainsFunc(roots, func(c *x509.Certificate) bool { return issuedBy(signer, c) })
}

// TrustEnd returns until when a CA file verifies the leaf certificates of a CA: when the last of its certificates ends that do (see Trusts). Zero if none does.
func TrustEnd(roots []*x509.Certificate, signer *x509.Certificate) time.Time {
	end := latest(roots, func(c *x509.Certificate) bool { return SameAuthority(c, signer) })
	if !end.IsZero() && !end.Before(signer.NotAfter) {
		return end // comparing is much cheaper than verifying
	}
	if by := latest(roots, func(c *x509.Certificate) bool { return issuedBy(signer, c) }); by.After(end) {
		return by
	}
	return end
}

// latest returns when the last of some certificates ends.
func latest(certs []*x509.Certificate, is func(*x509.Certificate) bool) time.Time {
	var end time.Time
	for _, c := range certs {
		if is(c) && c.NotAfter.After(end) {
			end = c.NotAfter
		}
	}
	return end
}

// PartRole says what a certificate of Secret cilium-ca is there for.
type PartRole string

// The roles of the certificates of cilium-ca.
const (
	PartSigner PartRole = "signer" // the first one: its key signs the leaf certificates
	PartRoot   PartRole = "root"   // the signer's own self-signed certificate, after its cross certificates
	PartCross  PartRole = "cross"  // the signer's key, signed by another CA
	PartIssuer PartRole = "issuer" // the CA that signed the signer's certificate
	PartOther  PartRole = "other"  // another CA: one that is trusted, if Helm makes the leaf certificates
)

// Part is one certificate of Secret cilium-ca.
type Part struct {
	Cert *x509.Certificate
	Role PartRole
}

// Parts says what each certificate of the file is, in order.
func (c CA) Parts() []Part {
	parts := make([]Part, 0, len(c.Chain))
	signer := c.Signer()
	for i, cert := range c.Chain {
		p := Part{Cert: cert, Role: PartOther}
		switch {
		case i == 0:
			p.Role = PartSigner
		case SameAuthority(cert, signer) && SelfSigned(cert):
			p.Role = PartRoot
		case SameAuthority(cert, signer):
			p.Role = PartCross
		case issuedBy(signer, cert):
			p.Role = PartIssuer
		}
		parts = append(parts, p)
	}
	return parts
}

// Identity is the certificate by which a CA is known: its self-signed one where the file has it, as after cross-signing, else the first.
func (c CA) Identity() *x509.Certificate {
	for _, p := range c.Parts() {
		if p.Role == PartRoot || (p.Role == PartSigner && SelfSigned(p.Cert)) {
			return p.Cert
		}
	}
	return c.Signer()
}
