package ca

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// keepsCopies reports whether an object is a Secret with peers' configurations, which may contain copies of their certificates.
func (s *State) keepsCopies(ref pki.Ref) bool {
	return ref.Kind == pki.Secret && slices.Contains(configSecrets(), ref.Name)
}

// followed lists the steps in a cluster that has certificates of another cluster, whose leaf certificates signer will sign: copies of its
// certificates next to its configuration, and bundles that contain its previous CA but not the new one. Nothing renews these automatically.
func (s *State) followed(other *State, signer *x509.Certificate) []v1alpha1.NextStep {
	if s == other || signer == nil {
		return nil
	}
	var out []v1alpha1.NextStep
	var stale []string
	for _, c := range s.Side.Copies(other.Side.Name) {
		good := trustedBy(c.Certs, signer)
		if !c.Trust {
			good = len(c.Certs) > 0 && pki.Leaf{Chain: c.Certs}.SignedBy(signer)
		}
		if !good {
			stale = append(stale, c.Source.String())
		}
	}
	if name := other.Member.Name; len(stale) > 0 {
		out = append(out, v1alpha1.NextStep{Cluster: s.Member.Name, Objects: stale, Why: fmt.Sprintf(
			"this cluster has copies of certificates of %s (clustermesh.config.clusters[].tls in the values). After the leaf certificates of %s are renewed, %s cannot connect to %s until you renew the copies from secret %s of %s, or remove them so that %s uses its own",
			name, name, s.Member.Name, name, pki.SecretRemote, name, s.Member.Name)})
	}
	for _, b := range s.Side.Bundles() {
		if s.keepsCopies(b.Source.Ref) || trustedBy(b.Certs, signer) || !other.formerlyIn(b.Certs) {
			continue
		}
		out = append(out, v1alpha1.NextStep{Cluster: s.Member.Name, Objects: []string{b.Source.Ref.String()}, Why: fmt.Sprintf(
			"%s contains the previous CA of %s, but not the new one: add the new CA before the leaf certificates of %s are renewed, then restart deployment/clustermesh-apiserver here", b.Source, other.Member.Name, other.Member.Name)})
	}
	return out
}

// formerlyIn reports whether a bundle contains the CA of the cluster's present leaf certificates, or the CA that was in cilium-ca when it was read.
func (s *State) formerlyIn(bundle []*x509.Certificate) bool {
	var former []*x509.Certificate
	if secret := s.CA().Object; secret != nil {
		if ca, err := pki.ParseCA(secret.Data); err == nil {
			former = append(former, ca.Chain...)
		}
	}
	for _, spec := range pki.LeafSpecs() {
		if secret := s.Secrets[spec.Secret].Object; secret != nil {
			if leaf, err := pki.ParseLeaf(secret.Data); err == nil {
				former = append(former, leaf.Trust...)
			}
		}
	}
	return slices.ContainsFunc(former, func(c *x509.Certificate) bool { return trustedBy(bundle, c) })
}
