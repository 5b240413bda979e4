package reissue

import (
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// keepsTrust simulates what is signed here: clusters that trust each other must do so afterwards. Left out are those that change to another CA if they do not
// connect, or trust each other when both have changed: others issue certificates too, and later.
func (w *Work) keepsTrust() error {
	var signed []change.Step
	replaces, states := map[string]bool{}, map[string]*ca.State{}
	for _, s := range w.States {
		states[s.Side.Name] = s
	}
	for _, c := range w.clusters {
		replaces[c.State.Side.Name] = c.Replaces()
		for _, t := range c.tasks {
			for _, phase := range t.phases {
				for _, s := range phase.Steps {
					if l, ok := s.(*leaf); ok {
						signed = append(signed, l.Write)
					}
				}
			}
		}
	}
	if len(signed) == 0 || w.AllowDisconnect {
		return nil
	}
	now := w.Clock.Now()
	return ca.KeepsTrust(pki.Matrix(ca.After(w.States, nil), now), pki.Matrix(ca.After(w.States, signed), now), func(p pki.Pair) bool {
		a, b := states[p.Client], states[p.Server]
		return (replaces[p.Client] || replaces[p.Server]) && (!p.Configured || a.AcceptedBy(b) && b.AcceptedBy(a))
	})
}
