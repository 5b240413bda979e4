package rotate

import (
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// guard simulates the writes on what was read: a pair of clusters that trusts each other must do so after all of them.
func (m *mesh) guard(steps []change.Step) error {
	now, then := ca.After(m.states(), nil), ca.After(m.states(), steps)
	if err := ca.KeepsTrust(pki.Matrix(now, m.at), pki.Matrix(then, m.at), func(string, string) bool { return false }); err != nil {
		return err
	}
	inside := m.inside(now)
	for n, link := range m.inside(then) {
		if inside[n].ok && !link.ok {
			return fmt.Errorf("this would end the trust within %s (%s); nothing was written", link.cluster, link.name)
		}
	}
	return nil
}

func (m *mesh) states() []*ca.State {
	out := make([]*ca.State, len(m.clusters))
	for n, c := range m.clusters {
		out[n] = c.State
	}
	return out
}

// link is a connection within a cluster.
type link struct {
	cluster, name string
	ok            bool
}

func (m *mesh) inside(sides []pki.Side) []link {
	var out []link
	for _, side := range sides {
		for _, l := range pki.Inside(side, m.at) {
			out = append(out, link{side.Name, l.Name, l.Verdict == pki.OK})
		}
	}
	return out
}
