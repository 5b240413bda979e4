package ca

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// trustEnd is a CA certificate at whose end files of a cluster no longer accept leaf certificates that are still valid.
type trustEnd struct {
	cert  *x509.Certificate
	files []string
}

// trustEnds lists them by cluster, the first to end first. The end of a present CA is left out: it is judged by itself, and everything that the CA signed
// ends with it.
func (x examination) trustEnds() map[*State][]trustEnd {
	judged := map[int64]bool{}
	for _, s := range x.states {
		if chain := x.chain(s); len(chain) > 0 {
			judged[pki.CA{Chain: chain}.Identity().NotAfter.Unix()] = true
		}
	}
	out := map[*State][]trustEnd{}
	add := func(judge *State, c pki.Check) {
		if judge == nil || c.Limit == nil || judged[c.Limit.NotAfter.Unix()] {
			return
		}
		file := source(c.Trust)
		i := slices.IndexFunc(out[judge], func(e trustEnd) bool { return e.cert.Equal(c.Limit) })
		switch {
		case i < 0:
			out[judge] = append(out[judge], trustEnd{c.Limit, []string{file}})
		case !slices.Contains(out[judge][i].files, file):
			out[judge][i].files = append(out[judge][i].files, file)
		}
	}
	for _, p := range slices.Concat(x.pairs, x.relay) {
		add(x.state(p.Server), p.Login)
		add(x.state(p.Client), p.Identity)
	}
	for s, links := range x.inside {
		for _, l := range links {
			add(s, l.Login)
			add(s, l.Identity)
		}
	}
	for _, ends := range out {
		for _, e := range ends {
			slices.Sort(e.files)
		}
		slices.SortStableFunc(ends, func(a, b trustEnd) int { return a.cert.NotAfter.Compare(b.cert.NotAfter) })
	}
	return out
}

// trustEndFindings lists the CA certificates in CA files of a cluster that expire soon, one finding for each.
func (x examination) trustEndFindings(s *State) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, e := range x.ends[s] {
		where := e.files[0] + " does"
		if more := len(e.files) - 1; more > 0 {
			where = fmt.Sprintf("%s and %d more do", e.files[0], more)
		}
		var fix string
		if chain := x.chain(s); len(chain) > 0 && pki.Trusts([]*x509.Certificate{e.cert}, chain[0]) {
			fix = strings.TrimPrefix(x.renew(s), renewPrefix) // a bundle may be all that must change
		} else {
			fix = x.federate(s, []*x509.Certificate{e.cert})
		}
		found := x.soon(finding.TrustEnds, "CA "+pki.Short(pki.Fingerprint(e.cert)), []string{s.Member.Name}, e.cert.NotAfter,
			fmt.Sprintf("the CA certificate %q expires on %s. From then on, %s not accept leaf certificates that are still valid", e.cert.Subject.String(), date(e.cert.NotAfter), where), fix)
		for i := range found {
			found[i].Objects = e.files
		}
		out = append(out, found...)
	}
	return out
}

// federate returns the command that replaces former certificates in a CA file by the present one of another cluster's CA, which was issued again under its key
// for longer; "" if the file has none. A trust bundle is not written by mesh-ca.
func (x examination) federate(judge *State, file []*x509.Certificate) string {
	own := x.chain(judge)
	if len(own) == 0 || len(judge.bundles()) > 0 || pki.CanCrossSign(x.facts(judge).ca.Identity(), x.Now) != nil {
		return ""
	}
	for _, s := range x.states {
		if len(x.chain(s)) == 0 || len(s.bundles()) > 0 || pki.CanCrossSign(x.facts(s).ca.Identity(), x.Now) != nil {
			continue
		}
		now := x.facts(s).ca.Identity()
		of := func(c *x509.Certificate) bool { return pki.SameAuthority(c, now) }
		if slices.ContainsFunc(file, of) && !of(own[0]) && pki.TrustEnd(file, now).Before(now.NotAfter) {
			return plugin(x.read(), "federate", "--in", judge.Member.Name+","+s.Member.Name)
		}
	}
	return ""
}

// trustEndList is the list as it is printed.
func (x examination) trustEndList(s *State) []v1alpha1.TrustEnd {
	var out []v1alpha1.TrustEnd
	for _, e := range x.ends[s] {
		out = append(out, v1alpha1.TrustEnd{Certificate: Certificate(e.cert), Files: e.files})
	}
	return out
}

// authorityOwner says who keeps cilium-ca. Where no rule of another owner applies, the CA files are filled by its rules.
func (s *State) authorityOwner() pki.OwnerKind {
	if secret := s.CA().Object; secret != nil {
		return pki.FindOwner(secret.ObjectMeta).Kind
	}
	return pki.OwnerHelm
}

// fileOwner says by whose rules (see pki.Issues) the CA file of a leaf Secret is written when the certificate is issued again.
func (s *State) fileOwner(o pki.Owner) pki.OwnerKind {
	switch {
	case signedHere(o): // see Sign
		return s.authorityOwner()
	case o.Kind == pki.OwnerCertManager: // a CA issuer writes the root alone too (cert-manager pkg/util/pki, ParseSingleCertificateChain)
		return pki.OwnerCertgen
	}
	return o.Kind
}

// outlasts reports whether a CA file verifies the leaf certificates of the CA until the CA ends, or at least not shorter than the file that would be
// written now by the rules of an owner: the root of an intermediate CA may end before it.
func (s *State) outlasts(file []*x509.Certificate, by pki.OwnerKind, signer *x509.Certificate) bool {
	end := pki.TrustEnd(file, signer)
	if !end.Before(signer.NotAfter) {
		return true
	}
	chain := s.chain()
	if len(chain) == 0 || !chain[0].Equal(signer) { // a CA that is about to be copied
		chain = []*x509.Certificate{signer}
	}
	issued, _ := pki.Issues(by, chain)
	return !end.Before(pki.TrustEnd(issued, signer))
}

// bundleEnds reports whether a bundle contains a CA, and ends before it.
func (s *State) bundleEnds(signer *x509.Certificate) bool {
	return slices.ContainsFunc(s.bundles(), func(b pki.Bundle) bool {
		return pki.Trusts(b.Certs, signer) && !s.outlasts(b.Certs, s.authorityOwner(), signer)
	})
}
