package federate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// guard simulates the writes on what was read: clusters that trust each other must do so afterwards, apart from those that are separated on purpose. What
// connects within a cluster must do so too.
func (m *mesh) guard(steps []change.Step) error {
	now, then := ca.After(m.states(m.all), nil), ca.After(m.states(m.all), steps)
	if err := ca.KeepsTrust(pki.Matrix(now, m.at), pki.Matrix(then, m.at), m.separates); err != nil {
		return err
	}
	return ca.KeepsInside(now, then, m.at)
}

// separated returns an error if clusters would still trust each other after all writes of Off: one trusts the CA of a third cluster, which signed a cross
// certificate of the other.
func (m *mesh) separated(steps []change.Step) error {
	for _, pair := range m.simulate(steps) {
		if copies := m.copies(pair); pair.Verdict == pki.OK && m.separates(pair) && copies != "" {
			return fmt.Errorf("%w: %s connects to %s with copies of its certificates (%s), and would still do so. Remove tls of %s from clustermesh.config.clusters in the Helm values of %s first",
				errRefused, pair.Client, pair.Server, copies, pair.Server, pair.Client)
		}
		if pair.Verdict == pki.OK && m.separates(pair) {
			return fmt.Errorf("%w: %s and %s would still trust each other, by the CA of a third cluster with which both are federated: name all clusters with --in, then federate those that belong together",
				errRefused, pair.Client, pair.Server)
		}
	}
	return nil
}

// copies names the copies of a peer's certificates with which a cluster connects to it; "" if there are none.
func (m *mesh) copies(p pki.Pair) string {
	one := m.cluster(p.Client)
	if one == nil {
		return ""
	}
	return strings.Join(one.copies(p.Server), ", ")
}

// copies names the cluster's copies of a peer's certificates.
func (c *cluster) copies(peer string) []string {
	var out []string
	for _, file := range c.Side.Copies(peer) {
		out = append(out, file.Source.String())
	}
	return out
}

// copied returns an error if clusters would not be connected after all writes because of copies, which a federation does not write. Every command would wait for them.
func (m *mesh) copied(steps []change.Step) error {
	if m.off {
		return nil
	}
	for _, p := range m.simulate(steps) {
		if copies := m.copies(p); p.Verdict == pki.Broken && m.cluster(p.Server) != nil && copies != "" {
			return fmt.Errorf("%w: %s connects to %s with copies of its certificates (%s), and that would still fail: %s. Copy them again from secret %s of %s, or remove tls of %s from clustermesh.config.clusters in the Helm values of %s",
				errRefused, p.Client, p.Server, copies, cmp.Or(p.Login.Reason, p.Identity.Reason), pki.SecretRemote, p.Server, p.Server, p.Client)
		}
	}
	return nil
}

// verified returns an error if a CA would not accept a leaf certificate of another cluster after all writes, although its key signed a cross certificate for it. The
// writes only add to what is trusted, so that the guard does not see it where clusters do not trust each other yet.
func (m *mesh) verified(steps []change.Step) error {
	if m.off {
		return nil
	}
	for n, side := range ca.After(m.states(m.scope), steps) {
		for _, spec := range pki.LeafSpecs() {
			leaf, err := pki.ParseLeaf(side.Objects[pki.Ref{Kind: pki.Secret, Name: spec.Secret}].Data)
			if err != nil {
				continue // it is not mounted, or checkLeafSecrets refuses it
			}
			err = pki.TooManyCrosses(leaf.Chain)
			for _, a := range m.authorities {
				if err == nil {
					err = m.accepts(leaf.Chain, a.Cert)
				}
			}
			if err != nil {
				return fmt.Errorf("%w: %s: not every cluster would accept the certificate in secret %s: %w. Give the clusters one CA (kubectl mesh-ca sync), or federate fewer clusters", errRefused, m.scope[n].Member.Name, spec.Secret, err)
			}
		}
	}
	return nil
}

// accepts says why a CA does not verify a chain as it is presented, or nil. Only the verifier of Cilium's processes tells: it gives up on long chains, whoever
// signed them. A certificate that is not valid at the moment is accepted by nobody, which is not for a federation to change.
func (m *mesh) accepts(chain []*x509.Certificate, by *x509.Certificate) error {
	sum := sha256.New()
	for _, c := range append(slices.Clone(chain), by) {
		sum.Write(c.Raw)
	}
	id := [sha256.Size]byte(sum.Sum(nil))
	if err, known := m.accepted[id]; known {
		return err
	}
	err := pki.Verifies(chain, by, m.at)
	if expired := m.at.Before(chain[0].NotBefore) || m.at.After(chain[0].NotAfter); expired && (pki.Leaf{Chain: chain}).SignedBy(by) {
		err = nil
	}
	m.accepted[id] = err
	return err
}

// simulate works out who trusts whom after some writes.
func (m *mesh) simulate(steps []change.Step) []pki.Pair {
	return pki.Matrix(ca.After(m.states(m.all), steps), m.at)
}

// separates reports whether two clusters are to trust each other no longer.
func (m *mesh) separates(p pki.Pair) bool {
	one, other := m.cluster(p.Client), m.cluster(p.Server)
	return m.off && one != nil && other != nil && !pki.SameAuthority(one.own.Cert, other.own.Cert)
}

// preflight checks all writes that are known beforehand in all clusters, so that nothing is written unless everything can be.
func (r *run) preflight(ctx context.Context) error {
	phase, err := r.next()
	if err == nil && phase.Kind == Done && r.m.recipe != Roots { // with Roots an upgrade may have dropped the cross certificates, which are not needed any more
		err = r.m.verified(nil)
	}
	if err != nil || phase.Kind == Done {
		return err
	}
	if err := r.m.heldBy(r.ID); err != nil {
		return err
	}
	plan := &change.Plan{Action: string(r.Action)}
	for _, kind := range []PhaseKind{Lock, Chains, Trust} {
		part, err := r.plan(r.m, Phase{Kind: kind, Clusters: r.names()})
		if err != nil {
			return r.unbegun(err)
		}
		plan.Phases = append(plan.Phases, part.Phases...)
	}
	if err := errors.Join(r.m.separated(plan.Pending()), r.m.verified(plan.Pending())); err != nil {
		return err
	}
	if r.Wait > 0 {
		if err := r.m.copied(plan.Pending()); err != nil {
			return err
		}
	}
	if r.DryRun != cli.DryRunClient {
		err = plan.Preflight(ctx, r.Change)
	}
	if err != nil || r.DryRun != cli.DryRunNone {
		r.record(plan)
	}
	return err
}
