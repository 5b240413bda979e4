package ca

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// keepsCopies reports whether an object is a Secret with peers' configurations, which may contain copies of their certificates.
func (s *State) keepsCopies(ref pki.Ref) bool {
	return ref.Kind == pki.Secret && slices.Contains(configSecrets(), ref.Name)
}

// IsCopy reports whether a file of the agents, by its path in their container, is a copy of a peer's: one that the Secret with the peers' configurations contains.
func (s *State) IsCopy(path string) bool { return s.keepsCopies(s.Side.AgentTrust(path).Source.Ref) }

// Followed lists what a person must do in clusters that have copies of certificates that are issued again, or bundles without their CA.
func Followed(all []*State, renewals []*Renewal, now time.Time) []Step {
	var out []Step
	for _, s := range all {
		bundles := s.bundles()
		for _, r := range renewals {
			if !r.usesCA() {
				continue
			}
			for _, n := range s.followed(r.State, r.signer, bundles, now) {
				out = append(out, Step{NextStep: n})
			}
		}
	}
	return out
}

// followed lists the steps in a cluster that has certificates of another cluster, whose leaf certificates signer will sign: copies of its
// certificates next to its configuration, and bundles that contain its previous CA but not the new one. Nothing renews these automatically. Copies that
// are not usable by themselves, such as expired ones, are listed too. bundles are those of the cluster (see bundles).
func (s *State) followed(other *State, signer *x509.Certificate, bundles []pki.Bundle, now time.Time) []v1alpha1.NextStep {
	if s == other || signer == nil {
		return nil
	}
	var out []v1alpha1.NextStep
	var stale, bad []string
	for _, c := range s.Side.Copies(other.Side.Name) {
		good := pki.Trusts(c.Certs, signer) && other.outlasts(c.Certs, other.copiedFrom(), signer)
		if !c.Trust {
			good = len(c.Certs) > 0 && pki.Leaf{Chain: c.Certs}.SignedBy(signer)
		}
		switch {
		case !good:
			stale = append(stale, c.Source.String())
		case s.copyProblem(c.Source, now) != "":
			bad = append(bad, c.Source.String())
		}
	}
	name := other.Member.Name
	renew := fmt.Sprintf("renew the copies from secret %s of %s, or remove them so that %s uses its own", pki.SecretRemote, name, s.Member.Name)
	if len(stale) > 0 {
		out = append(out, v1alpha1.NextStep{Cluster: s.Member.Name, Objects: append(stale, bad...), Reason: fmt.Sprintf(
			"this cluster has copies of certificates of %s (clustermesh.config.clusters[].tls in the values). After the leaf certificates of %s are renewed, %s cannot connect to %s until you %s",
			name, name, s.Member.Name, name, renew)})
	} else if len(bad) > 0 {
		out = append(out, v1alpha1.NextStep{Cluster: s.Member.Name, Objects: bad, Reason: fmt.Sprintf(
			"this cluster has copies of certificates of %s (clustermesh.config.clusters[].tls in the values) that cannot be used, and nothing renews them: %s", name, renew)})
	}
	for _, b := range bundles {
		if pki.Trusts(b.Certs, signer) && other.outlasts(b.Certs, other.authorityOwner(), signer) || !other.formerlyIn(b.Certs) {
			continue
		}
		out = append(out, v1alpha1.NextStep{Cluster: s.Member.Name, Objects: []string{b.Source.Ref.String()}, Reason: fmt.Sprintf(
			"%s contains the previous CA of %s, but not the new one: add the new CA before the leaf certificates of %s are renewed, then restart deployment/clustermesh-apiserver here", b.Source, other.Member.Name, other.Member.Name)})
	}
	return out
}

// copiedFrom says by whose rules the CA file is written that peers copy from a cluster.
func (s *State) copiedFrom() pki.OwnerKind {
	if secret := s.Secrets[pki.SecretRemote].Object; secret != nil {
		return s.fileOwner(pki.FindOwner(secret.ObjectMeta))
	}
	return s.authorityOwner()
}

// bundles returns the trust bundles of a cluster, without the copies of peers' CAs.
func (s *State) bundles() []pki.Bundle {
	return slices.DeleteFunc(s.Side.Bundles(), func(b pki.Bundle) bool { return s.keepsCopies(b.Source.Ref) })
}

// copyProblem says why a copy of a peer's certificate cannot be used, whoever signed it; "" if it can.
func (s *State) copyProblem(src pki.Source, now time.Time) string {
	for _, l := range s.copied(now) {
		if "secret/"+l.Secret != src.String() {
			continue
		}
		if len(l.Problems) > 0 {
			return l.Problems[0].Message
		}
		return l.Message
	}
	return ""
}

// formerlyIn reports whether a bundle contains the CA of the cluster's present leaf certificates, or the CA that was in cilium-ca when it was read.
func (s *State) formerlyIn(bundle []*x509.Certificate) bool {
	var former []*x509.Certificate
	if secret := s.CA().Object; secret != nil {
		if ca, err := pki.ParseCA(secret.Data); err == nil {
			former = append(former, ca.Chain...)
		}
	}
	for _, leaf := range s.LeafCertificates() {
		former = append(former, leaf.Trust...)
	}
	return slices.ContainsFunc(former, func(c *x509.Certificate) bool { return pki.Trusts(bundle, c) })
}
