package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// purposeNames are the purposes as sentences name them.
var purposeNames = map[purpose]string{purposeServer: "server", purposeClient: "client"}

// explain says in one clause why a chain does not verify. Verify reports the first thing that it meets; a reader needs what to change. The clock
// and the names come first, because both are visible without any trust. What is wrong with a CA is never blamed on the leaf certificate.
func explain(err error, chain, roots []*x509.Certificate, use purpose, host string, now time.Time) error {
	leaf := chain[0]
	if e := withinValidity(leaf, now); e != nil {
		return e
	}
	var (
		hostname  x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
	)
	signers := issuers(chain, roots)
	switch {
	case errors.As(err, &hostname):
		return fmt.Errorf("its names (%s) do not cover %s", names(leaf), host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		for _, ca := range signers {
			if e := withinValidity(ca, now); e != nil {
				return fmt.Errorf("the CA that signed it, %s, is not valid: %w", nameOf(ca), e)
			}
		}
		return fmt.Errorf("the CA that signed it is expired or not yet valid: %s", describeRoots(roots))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		if !allows(leaf, x509.ExtKeyUsage(use)) {
			return fmt.Errorf("its extended key usage does not allow %s authentication", purposeNames[use])
		}
		for _, ca := range signers {
			if !allows(ca, x509.ExtKeyUsage(use)) {
				return fmt.Errorf("the extended key usage of the CA that signed it, %s, does not allow %s authentication", nameOf(ca), purposeNames[use])
			}
		}
		return fmt.Errorf("the extended key usages of its chain do not allow %s authentication", purposeNames[use])
	case errors.As(err, &invalid) && invalid.Reason == x509.TooManyIntermediates:
		for _, ca := range signers {
			if ca.MaxPathLen > 0 || ca.MaxPathLenZero {
				return fmt.Errorf("the CA %s allows at most %d intermediate certificates (path length), and there are more", nameOf(ca), ca.MaxPathLen)
			}
		}
		return errors.New("there are more intermediate certificates than its CA allows (path length)")
	case errors.As(err, &invalid) && invalid.Reason == x509.CANotAuthorizedForThisName:
		for _, ca := range signers {
			if Constrained(ca) {
				return fmt.Errorf("the name constraints of the CA %s do not permit its names (%s)", nameOf(ca), names(leaf))
			}
		}
		return fmt.Errorf("name constraints of its chain do not permit its names (%s)", names(leaf))
	case errors.As(err, &authority):
		return unknownAuthority(leaf, signers, roots, now)
	case strings.Contains(err.Error(), signatureLimit):
		return fmt.Errorf("%d certificates are sent with it, and %d are trusted: Go programs give up after they have tried 100 links between certificates", len(chain)-1, len(roots))
	default:
		return errors.New(clean(err.Error()))
	}
}

// signatureLimit is in the error of crypto/x509 for a chain that it does not follow to its end, which has no type (errSignatureLimit, Go 1.26).
const signatureLimit = "signature check attempts limit"

// unknownAuthority says why no trusted CA is found for a leaf certificate.
func unknownAuthority(leaf *x509.Certificate, signers, roots []*x509.Certificate, now time.Time) error {
	for _, cert := range slices.Concat([]*x509.Certificate{leaf}, signers) {
		if insecure(cert) && !SelfSigned(cert) {
			return fmt.Errorf("the signature of %s uses %s, which Go programs do not accept", nameOf(cert), cert.SignatureAlgorithm)
		}
	}
	for _, ca := range signers {
		if e := withinValidity(ca, now); e != nil {
			return fmt.Errorf("the CA that signed it, %s, is not valid: %w", nameOf(ca), e)
		}
	}
	for _, root := range roots {
		if !signedWith(leaf, root) {
			continue
		}
		switch {
		case !IsCA(root):
			return fmt.Errorf("it is signed by %s, which is not a CA (basic constraints or key usage do not allow it to sign)", nameOf(root))
		case string(root.RawSubject) != string(leaf.RawIssuer):
			return fmt.Errorf("it is signed with the key of the trusted CA, but under another subject: %s; trusted: %s", issuerOf(leaf), describeRoots(roots))
		}
	}
	return fmt.Errorf("it is signed by %s; trusted: %s", issuerOf(leaf), describeRoots(roots))
}

// insecure reports whether crypto/x509 rejects the signature algorithm of a certificate: MD5 always, SHA-1 since Go 1.18.
func insecure(cert *x509.Certificate) bool {
	return slices.Contains([]x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, cert.SignatureAlgorithm)
}

// issuers lists the certificates above a leaf certificate in any of its possible chains, the nearest first.
func issuers(chain, roots []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for reached := chain[:1]; len(reached) > 0; {
		cert := reached[0]
		reached = reached[1:]
		for _, parent := range slices.Concat(chain[1:], roots) {
			known := slices.ContainsFunc(out, parent.Equal) || parent.Equal(cert)
			if !known && string(cert.RawIssuer) == string(parent.RawSubject) && signedWith(cert, parent) {
				out = append(out, parent)
				reached = append(slices.Clone(reached), parent)
			}
		}
	}
	return out
}

// nameOf names a certificate so that it can be found among others of the same subject.
func nameOf(cert *x509.Certificate) string {
	return fmt.Sprintf("%q (SHA-256 %s)", clean(cert.Subject.String()), Short(Fingerprint(cert)))
}
