package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
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
	done map[question]error
}

// question is one certificate file against one CA file.
type question struct {
	presented, trusted [sha256.Size]byte
	use                purpose
	host               string
}

func newVerifier(now time.Time) *verifier { return &verifier{now: now, done: map[question]error{}} }

func (v *verifier) verify(presented, trusted material, use purpose, host string) error {
	q := question{presented.id, trusted.id, use, host}
	err, known := v.done[q]
	if !known {
		err = verifyChain(presented.certs, trusted.certs, use, host, v.now)
		v.done[q] = err
	}
	return err
}

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
	if _, err := leaf.Verify(opts); err != nil {
		return explain(err, chain, roots, use, host, now)
	}
	return nil
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
		return check
	}
	where := fmt.Sprintf("%s of %s is not accepted by %s: ", check.Presented, presenter.cluster, judge.cluster)
	if presenter.keyErr != nil {
		check.Verdict, check.Reason = Unknown, fmt.Sprintf("private key of %s: %v", presenter.cluster, presenter.keyErr)
	} else if presenter.keyMismatch != nil {
		check.Verdict, check.Reason = Broken, fmt.Sprintf("%s cannot present %s: %v", presenter.cluster, check.Presented, presenter.keyMismatch)
		return check
	}
	if hosts == nil {
		hosts = []string{""}
	}
	for _, host := range hosts {
		if err := v.verify(presenter.cert, judge.trust, use, host); err != nil {
			check.Verdict, check.Reason = Broken, where+err.Error()
			return check
		}
	}
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
