package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// purpose is the extended key usage that a verifier asks for.
type purpose x509.ExtKeyUsage

const (
	purposeServer = purpose(x509.ExtKeyUsageServerAuth)
	purposeClient = purpose(x509.ExtKeyUsageClientAuth)
)

// verifier judges handshakes at one moment. It remembers what it has worked out: in a mesh of 255 clusters with one CA a few hundred signatures decide
// about 65,000 pairs.
type verifier struct {
	now  time.Time
	done map[question]answer
}

// answer says whether the certificate is accepted. limit is the CA certificate at whose end that ends, nil if the leaf certificate ends first.
type answer struct {
	limit *x509.Certificate
	err   error
}

// question is one certificate file against one CA file.
type question struct {
	presented, trusted [sha256.Size]byte
	use                purpose
	host               string
}

func newVerifier(now time.Time) *verifier { return &verifier{now: now, done: map[question]answer{}} }

func (v *verifier) verify(presented, trusted material, use purpose, host string) answer {
	q := question{presented.id, trusted.id, use, host}
	a, known := v.done[q]
	if !known {
		a.limit, a.err = accept(presented.certs, trusted.certs, use, host, v.now)
		v.done[q] = a
	}
	return a
}

// verifyChain is accept for those who only need to know whether it is accepted.
func verifyChain(chain, roots []*x509.Certificate, use purpose, host string, now time.Time) error {
	_, err := accept(chain, roots, use, host, now)
	return err
}

// accept does what crypto/tls does at a handshake, on either side: the presented leaf with its intermediates against a pool of roots. etcd and
// Cilium are Go programs, so Go's verifier is not an approximation here. host is empty for a client's certificate.
// The error says in one clause what a person can act on; limit is that of an answer.
func accept(chain, roots []*x509.Certificate, use purpose, host string, now time.Time) (limit *x509.Certificate, err error) {
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
	chains, err := leaf.Verify(opts)
	if err != nil {
		return nil, refusal{explain(err, chain, roots, use, host, now), renewable(err, chain, roots, use)}
	}
	return limitOf(chains), nil
}

// limitOf returns the certificate that ends first in that of the chains which ends last; nil if it is the leaf certificate.
func limitOf(chains [][]*x509.Certificate) *x509.Certificate {
	var limit *x509.Certificate
	for _, chain := range chains {
		first := chain[0]
		for _, cert := range chain[1:] {
			if cert.NotAfter.Before(first.NotAfter) {
				first = cert
			}
		}
		if limit == nil || first.NotAfter.After(limit.NotAfter) {
			limit = first
		}
	}
	if limit == chains[0][0] {
		return nil
	}
	return limit
}

// refusal is why a chain does not verify.
type refusal struct {
	error
	// renewable: another leaf certificate of the same CA would verify.
	renewable bool
}

// renewable reports whether another leaf certificate of the same CA would verify: a trusted certificate signed the chain, and the CA itself is not what
// does not permit the present one. That a CA has expired does not count: it can be issued again under its key.
func renewable(err error, chain, roots []*x509.Certificate, use purpose) bool {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.TooManyIntermediates, x509.CANotAuthorizedForThisName:
			return false
		case x509.IncompatibleUsage:
			if allows(chain[0], x509.ExtKeyUsage(use)) {
				return false
			}
		}
	}
	return slices.ContainsFunc(roots, Leaf{Chain: chain}.SignedBy)
}

// Verifies says why a CA alone does not verify a chain as it is presented, whatever the certificate is used for; nil if it does.
func Verifies(chain []*x509.Certificate, ca *x509.Certificate, now time.Time) error {
	return verifyChain(chain, []*x509.Certificate{ca}, purpose(x509.ExtKeyUsageAny), "", now)
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

// half judges what presenter shows against what judge trusts. hosts are the names under which the judge knows a server; nil for a client.
func (v *verifier) half(presenter, judge endpoint, use purpose, hosts []string) Check {
	check := Check{Presented: presenter.cert.source, Trust: judge.trust.source}
	for _, side := range []struct {
		cluster string
		m       material
		what    string
	}{{presenter.cluster, presenter.cert, "certificate"}, {judge.cluster, judge.trust, "CA file"}} {
		if side.m.err != nil {
			where := ""
			if side.m.source.Key != "" {
				where = " " + side.m.source.String()
			}
			check.Verdict = worst(check.Verdict, side.m.state)
			check.Reason = join(check.Reason, fmt.Sprintf("%s of %s%s: %v", side.what, side.cluster, where, side.m.err))
		}
	}
	if check.Reason != "" {
		check.Missing = true
		return check
	}
	where := fmt.Sprintf("%s of %s is not accepted by %s: ", check.Presented, presenter.cluster, judge.cluster)
	if presenter.keyErr != nil {
		check.Verdict, check.Reason = Unknown, fmt.Sprintf("private key of %s: %v", presenter.cluster, presenter.keyErr)
	} else if presenter.keyMismatch != nil {
		check.Verdict, check.Reason = Broken, fmt.Sprintf("%s cannot present %s: %v", presenter.cluster, check.Presented, presenter.keyMismatch)
		check.Renewable = slices.ContainsFunc(judge.trust.certs, Leaf{Chain: presenter.cert.certs}.SignedBy)
		return check
	}
	if hosts == nil {
		hosts = []string{""}
	}
	for _, host := range hosts {
		a := v.verify(presenter.cert, judge.trust, use, host)
		if a.err != nil {
			check.Verdict, check.Reason = Broken, where+a.err.Error()
			var why refusal
			check.Renewable = errors.As(a.err, &why) && why.renewable
			return check
		}
		check.Limit = a.limit
	}
	check.Renewable = true
	if check.Verdict == "" {
		check.Verdict = OK
	}
	return check
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
