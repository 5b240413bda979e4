package ca

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// leafFindings lists what is wrong with the leaf certificates of a cluster, one finding for each fact: six leaf certificates that another key signed
// are one.
func (x examination) leafFindings(s *State, c v1alpha1.CACluster) []v1alpha1.Finding {
	at := []string{s.Member.Name}
	var out []v1alpha1.Finding
	for _, l := range c.LeafCertificates {
		object := "secret/" + l.Secret
		if l.Message != "" {
			out = append(out, finding.LeafBad.New(object, at, l.Message, s.readable(pki.Ref{Kind: pki.Secret, Name: l.Secret}, pki.KeyTLSCert)))
			continue
		}
		if l.SignedByCA != nil && !*l.SignedByCA {
			out = append(out, finding.LeafStale.New(object, at, s.foreign(l), x.renew(s)))
		}
		for _, p := range l.Problems {
			rule := finding.LeafBad
			switch {
			case p.UnknownUser:
				rule = finding.EtcdUser
			case p.Severity == string(finding.Warning):
				rule = finding.LeafNames
			}
			out = append(out, rule.New(object, at, p.Message, ""))
		}
		if x.Now.Before(l.NotAfter) {
			out = append(out, x.leafEnds(s, l)...)
		}
	}
	return grouped(out)
}

// leafEnds returns the finding about a leaf certificate that expires soon. There is none before the date on which cert-manager issues the certificate again.
func (x examination) leafEnds(s *State, l v1alpha1.LeafCertificate) []v1alpha1.Finding {
	message := "it expires on " + date(l.NotAfter)
	if at, ok := s.Renewal(l.Secret, l.NotBefore, l.NotAfter); ok {
		if x.Now.Before(at) {
			return nil
		}
		message += fmt.Sprintf("; cert-manager should have issued it again on %s (Certificate %s)", date(at), s.Issuances[l.Secret].Name)
	}
	return x.soon(finding.LeafEnds, "secret/"+l.Secret, []string{s.Member.Name}, l.NotAfter, message, "")
}

// grouped makes one finding of those that say the same about several objects.
func grouped(fs []v1alpha1.Finding) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, f := range fs {
		same := func(g v1alpha1.Finding) bool {
			return g.ID == f.ID && g.Severity == f.Severity && g.Message == f.Message && g.Fix == f.Fix && slices.Equal(g.Clusters, f.Clusters)
		}
		i := slices.IndexFunc(out, same)
		if i < 0 {
			out = append(out, f)
			continue
		}
		if len(out[i].Objects) == 0 {
			out[i].Objects = []string{out[i].Object}
		}
		out[i].Objects = append(out[i].Objects, f.Object)
		out[i].Object = fmt.Sprintf("%d leaf certificates", len(out[i].Objects))
	}
	return out
}

// foreign says who signed a leaf certificate that the first certificate of cilium-ca did not.
func (s *State) foreign(l v1alpha1.LeafCertificate) string {
	chain := s.chain()
	if pki.Relation(l.Relation) == pki.Renamed && len(chain) > 0 {
		return fmt.Sprintf("signed with the key of cilium-ca, but under the subject %q instead of %q: verifiers that trust only the certificate in cilium-ca do not accept it", l.Issuer, chain[0].Subject.String())
	}
	if n := s.signedByPart(l, chain); n > 0 {
		return fmt.Sprintf("signed by certificate %d of cilium-ca, but the first one signs what is renewed", n+1)
	}
	return "signed by " + fmt.Sprintf("%q", l.Issuer) + " with a key other than that of cilium-ca"
}

// signedByPart returns which certificate of cilium-ca after the first one signed a leaf certificate, 0 if none.
func (s *State) signedByPart(l v1alpha1.LeafCertificate, chain []*x509.Certificate) int {
	secret := s.Secrets[l.Secret].Object
	if secret == nil {
		return 0
	}
	leaf, err := pki.ParseLeaf(secret.Data)
	if err != nil {
		return 0
	}
	return max(0, slices.IndexFunc(chain, leaf.SignedBy))
}

// stray lists the leaf certificates that do not belong to the CA of their cluster and must be renewed. Those that neither Helm nor certgen issue may be of
// another CA on purpose, as with a PKI of one's own: they count only if the cluster does not trust another one, or itself.
func (x examination) stray(s *State, signer *x509.Certificate) []stale {
	all := s.staleCertificates(signer)
	if len(all) == 0 || x.distrusted(s) {
		return all
	}
	return slices.DeleteFunc(all, func(l stale) bool {
		return !l.ends && !slices.Contains([]pki.OwnerKind{pki.OwnerHelm, pki.OwnerCertgen, pki.OwnerFlux}, l.owner.Kind)
	})
}

// distrusted reports whether a certificate of a cluster is not accepted where it must be, or does not accept one, because of its CA: not because of the user,
// because it has expired, or because a file is missing.
func (x examination) distrusted(s *State) bool {
	refused := func(checks ...pki.Check) bool {
		return slices.ContainsFunc(checks, func(c pki.Check) bool {
			return c.Verdict == pki.Broken && c.User != pki.Broken && !c.Renewable && !c.Missing
		})
	}
	for _, p := range x.pairs {
		if (p.Client == s.Side.Name || p.Server == s.Side.Name) && p.NoMesh == "" && refused(p.Login, p.Identity) {
			return true
		}
	}
	return slices.ContainsFunc(x.inside[s], func(l pki.Link) bool { return refused(l.Login, l.Identity) })
}

// worn lists the leaf certificates that the CA signed but that must be renewed: they are not usable by themselves, or expire soon.
func (x examination) worn(s *State, signer *x509.Certificate) []stale {
	return x.unfit(s, signer, s.staleCertificates(signer), x.Warn)
}

// due lists the leaf certificates that must be renewed: those of stray and of worn, and those of another PKI that are not usable.
func (x examination) due(s *State, signer *x509.Certificate) []stale {
	leaves := append(x.stray(s, signer), x.worn(s, signer)...)
	return append(leaves, x.spoiled(s, signer, leaves)...)
}

// spoiled lists the leaf certificates that are not usable by themselves and that are not listed yet: another CA signed them on purpose (see stray), or only
// their ca.crt lacks the CA.
func (x examination) spoiled(s *State, signer *x509.Certificate, listed []stale) []stale {
	out := x.unfit(s, signer, listed, 0)
	for i := range out {
		leaf, err := pki.ParseLeaf(s.dataOf(out[i].spec.Secret))
		out[i].foreign = err != nil || !leaf.SignedBy(signer)
	}
	return out
}

// unfit lists the leaf certificates apart from some that are not usable by themselves, that have less life left than soon, or that have lost their CA file.
func (x examination) unfit(s *State, signer *x509.Certificate, except []stale, soon time.Duration) []stale {
	var out []stale
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret].Object
		if secret == nil || slices.ContainsFunc(except, func(l stale) bool { return l.spec.Secret == spec.Secret }) {
			continue
		}
		l, ok := s.leaf(spec, signer, x.Now)
		serious := func(p v1alpha1.LeafProblem) bool { return p.Severity == string(finding.Error) }
		ends := l.Certificate != nil && x.Now.Add(soon).After(l.NotAfter)
		if ok && (l.Message != "" || ends || s.lacksTrust(spec.Secret) || slices.ContainsFunc(l.Problems, serious)) {
			out = append(out, stale{spec: spec, owner: pki.FindOwner(secret.ObjectMeta), worn: true})
		}
	}
	return out
}

// lacksTrust reports whether processes mount the CA file of a leaf Secret, and it is missing or cannot be parsed.
func (s *State) lacksTrust(secret string) bool {
	leaf, err := pki.ParseLeaf(s.dataOf(secret))
	return err == nil && len(leaf.Trust) == 0 && s.Side.Mounts(pki.Source{Ref: pki.Ref{Kind: pki.Secret, Name: secret}, Key: pki.KeyCACert})
}
