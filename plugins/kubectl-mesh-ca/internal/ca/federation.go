package ca

import (
	"crypto/x509"
	"maps"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// By what clusters with different CAs trust each other.
const (
	meansCross  = "cross certificates"
	meansRoots  = "several CA certificates"
	meansCopies = "copies of certificates"
)

// federations lists the groups of clusters that have different CAs and trust each other, in both directions each. A cluster whose leaf certificates are
// not of its own CA is not counted: it is between two CAs.
func (x examination) federations() []v1alpha1.Federation {
	verdicts := map[[2]string]pki.Pair{}
	for _, p := range x.pairs {
		verdicts[[2]string{p.Client, p.Server}] = p
	}
	mutual := func(a, b *State) bool {
		there, back := verdicts[[2]string{a.Side.Name, b.Side.Name}], verdicts[[2]string{b.Side.Name, a.Side.Name}]
		return there.Verdict == pki.OK && back.Verdict == pki.OK
	}
	var groups [][]*State
	for _, s := range x.states {
		if !x.settled(s) {
			continue
		}
		i := slices.IndexFunc(groups, func(g []*State) bool {
			return !slices.ContainsFunc(g, func(other *State) bool { return !mutual(s, other) })
		})
		if i < 0 {
			groups = append(groups, []*State{s})
			continue
		}
		groups[i] = append(groups[i], s)
	}
	var out []v1alpha1.Federation
	for _, g := range groups {
		f, means := v1alpha1.Federation{}, map[string]bool{}
		for _, a := range g {
			f.Clusters = append(f.Clusters, a.Member.Name)
			// One peer of another CA tells by what the cluster is trusted: all others have got the same from it.
			if i := slices.IndexFunc(g, func(b *State) bool { return !pki.SameKey(x.chain(a)[0], x.chain(b)[0]) }); i >= 0 {
				means[x.means(verdicts[[2]string{a.Side.Name, g[i].Side.Name}], a, g[i])] = true
			}
		}
		if len(means) > 0 {
			f.Means = slices.Sorted(maps.Keys(means))
			out = append(out, f)
		}
	}
	return out
}

// settled reports whether the cluster's own CA signed the certificate with which it logs in to others.
func (x examination) settled(s *State) bool {
	chain, secret := x.chain(s), s.Secrets[pki.SecretRemote].Object
	if len(chain) == 0 || secret == nil || s.Rotating {
		return false
	}
	leaf, err := pki.ParseLeaf(secret.Data)
	return err == nil && leaf.Relation(chain[0]) == pki.Direct
}

// means says by what a server accepts a client of another CA.
func (x examination) means(p pki.Pair, client, server *State) string {
	if len(client.Side.Copies(p.Server)) > 0 {
		return meansCopies
	}
	// The first certificate of certgen's cilium-ca may be a cross certificate, which the server's CA signed.
	if pki.Trusts(certificatesOf(server, p.Login.Trust), x.facts(client).ca.Identity()) {
		return meansRoots
	}
	return meansCross
}

// certificatesOf returns the certificates in a file of a cluster, none if it cannot be parsed.
func certificatesOf(s *State, file pki.Source) []*x509.Certificate {
	certs, err := pki.ParseCertificates(s.Side.Objects[file.Ref].Data[file.Key])
	if err != nil {
		return nil
	}
	return certs
}
