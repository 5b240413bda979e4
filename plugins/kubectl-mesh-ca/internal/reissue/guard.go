package reissue

import (
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// keepsTrust simulates what is signed here: clusters that trust each other must do so afterwards. Left out are those that change to another CA if they trust each
// other when both have changed: others issue certificates too, and later. A CA that was replaced on purpose changes who trusts whom.
func (w *Work) keepsTrust() error {
	var signed []change.Step
	replaces, authorities := map[string]bool{}, map[string]pki.CA{}
	for _, s := range w.States {
		authorities[s.Side.Name] = s.Authority()
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
	if len(signed) == 0 {
		return nil
	}
	now := w.Clock.Now()
	return ca.KeepsTrust(pki.Matrix(ca.After(w.States, nil), now), pki.Matrix(ca.After(w.States, signed), now), func(client, server string) bool {
		a, b := authorities[client], authorities[server]
		return (replaces[client] || replaces[server]) && (w.ReplacesCA || a.TrustedBy(b.Chain) && b.TrustedBy(a.Chain))
	})
}
