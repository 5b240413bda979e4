package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// purpose is the extended key usage that a verifier asks for.
type purpose x509.ExtKeyUsage

const (
	purposeAny    = purpose(x509.ExtKeyUsageAny)
	purposeServer = purpose(x509.ExtKeyUsageServerAuth)
	purposeClient = purpose(x509.ExtKeyUsageClientAuth)
)

// verifyChain does what crypto/tls does at a handshake, on either side: the presented leaf with its intermediates against a pool of roots. etcd and
// Cilium are Go programs, so Go's verifier is not an approximation here. host is empty for a client's certificate.
// The error says in one clause what a person can act on.
func verifyChain(chain, roots []*x509.Certificate, use purpose, host string, now time.Time) error {
	leaf := chain[0]
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, DNSName: host,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsage(use)},
	}
	for _, c := range roots {
		opts.Roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(opts)
	if err == nil {
		return nil
	}
	// Verify reports the first thing it meets. The clock comes first for a reader, then the name: both are visible without any trust.
	if e := withinValidity(leaf, now); e != nil {
		return e
	}
	var (
		hostname  x509.HostnameError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &hostname):
		return fmt.Errorf("its names (%s) do not cover %s", names(leaf), host)
	case errors.As(err, &authority):
		return fmt.Errorf("it is signed by %s; trusted is %s", issuerOf(leaf), describeRoots(roots))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the CA that signed it is outside its validity: %s", describeRoots(roots))
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("its extended key usage does not allow it to be a %s's", map[purpose]string{purposeServer: "server", purposeClient: "client"}[use])
	default:
		return errors.New(clean(err.Error()))
	}
}

// issuerOf names who signed a certificate. All of Cilium's own CAs are called "Cilium CA", so the authority key id is what tells them apart.
func issuerOf(cert *x509.Certificate) string {
	s := fmt.Sprintf("%q", clean(cert.Issuer.String()))
	if len(cert.AuthorityKeyId) > 0 {
		s += fmt.Sprintf(" (key id %s)", Short(fmt.Sprintf("%x", cert.AuthorityKeyId)))
	}
	return s
}

func describeRoots(roots []*x509.Certificate) string {
	if len(roots) == 0 {
		return "nothing"
	}
	parts := make([]string, 0, len(roots))
	for _, r := range roots {
		s := fmt.Sprintf("%q (SHA-256 %s", clean(r.Subject.String()), Short(Fingerprint(r)))
		if len(r.SubjectKeyId) > 0 {
			s += ", key id " + Short(SubjectKeyID(r))
		}
		parts = append(parts, s+")")
	}
	return strings.Join(parts, ", ")
}

func names(cert *x509.Certificate) string {
	all := append([]string(nil), cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "none"
	}
	return clean(strings.Join(all, ", "))
}
