package federate

import (
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// guard simulates the writes on what was read: clusters that trust each other must do so afterwards, apart from those that are separated on purpose.
func (m *mesh) guard(steps []change.Step) error {
	return ca.KeepsTrust(m.simulate(nil), m.simulate(steps), m.separates)
}

// separated returns an error if clusters would still trust each other after all writes of Off: one trusts the CA of a third cluster, which signed a cross
// certificate of the other.
func (m *mesh) separated(steps []change.Step) error {
	for _, pair := range m.simulate(steps) {
		if pair.Verdict == pki.OK && m.separates(pair.Client, pair.Server) {
			return fmt.Errorf("%w: %s and %s would still trust each other, by the CA of a third cluster with which both are federated: name all clusters with --in, then federate those that belong together",
				errRefused, pair.Client, pair.Server)
		}
	}
	return nil
}

// simulate works out who trusts whom after some writes.
func (m *mesh) simulate(steps []change.Step) []pki.Pair {
	states := make([]*ca.State, len(m.all))
	for n, c := range m.all {
		states[n] = c.State
	}
	return pki.Matrix(ca.After(states, steps), m.at)
}

// separates reports whether two clusters are to trust each other no longer.
func (m *mesh) separates(a, b string) bool {
	one, other := m.cluster(a), m.cluster(b)
	return m.off && one != nil && other != nil && !pki.SameAuthority(one.own.Cert, other.own.Cert)
}
