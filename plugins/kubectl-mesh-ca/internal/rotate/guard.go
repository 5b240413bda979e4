package rotate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// guard simulates the writes on what was read: a pair of clusters that trusts each other must do so after all of them.
func (m *mesh) guard(steps []change.Step) error {
	now, then := ca.After(m.states(), nil), ca.After(m.states(), steps)
	if err := ca.KeepsTrust(pki.Matrix(now, m.at), pki.Matrix(then, m.at), func(pki.Pair) bool { return false }); err != nil {
		return err
	}
	return ca.KeepsInside(now, then, m.at)
}

// rehearse plans the phase that follows Prepare, and discards it: what the guard refuses there must be refused before Prepare is written.
func (r *run) rehearse() error {
	trial := *r.m
	var err error
	if trial.rehearsal, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	at := trial.positions(r.goal)
	for n := range at {
		at[n].Prepared = true
	}
	phase := Next(trial.method, Goal{Until: Narrow}, at)
	if trial.method == Emergency || phase.Kind != Issue && phase.Kind != Trust {
		return nil
	}
	_, err = r.plan(&trial, phase)
	return err
}

func (m *mesh) states() []*ca.State {
	out := make([]*ca.State, len(m.clusters))
	for n, c := range m.clusters {
		out[n] = c.State
	}
	return out
}
