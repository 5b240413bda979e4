package ca

import (
	"crypto/x509"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// AcceptedBy reports whether the leaf certificates that are issued with a cluster's CA are accepted where the leaf certificates of another cluster are issued with
// that one's CA. A CA that signed an intermediate one is not enough: only certgen sends what is in cilium-ca beside the CA.
func (s *State) AcceptedBy(judge *State) bool {
	own, other := s.Authority(), judge.Authority()
	if len(own.Chain) == 0 || len(other.Chain) == 0 {
		return false
	}
	is := func(c *x509.Certificate) bool { return pki.SameAuthority(c, own.Signer()) }
	trust, _ := pki.Issues(judge.authorityOwner(), other.Chain)
	_, sent := pki.Issues(s.authorityOwner(), own.Chain)
	return slices.ContainsFunc(trust, is) || slices.ContainsFunc(sent, func(c *x509.Certificate) bool { return is(c) && pki.Trusts(trust, c) })
}
