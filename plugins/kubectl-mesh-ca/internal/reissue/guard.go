package reissue

import (
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// keepsTrust simulates what is signed here: clusters that trust each other must do so afterwards. Clusters that change to another CA are left out, because they
// trust each other only when all of them have changed, and others issue certificates too.
func (w *Work) keepsTrust() error {
	var signed []change.Step
	replaces := map[string]bool{}
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
	if len(signed) == 0 {
		return nil
	}
	now := w.Clock.Now()
	return ca.KeepsTrust(pki.Matrix(ca.After(w.States, nil), now), pki.Matrix(ca.After(w.States, signed), now), func(client, server string) bool {
		return replaces[client] || replaces[server]
	})
}
