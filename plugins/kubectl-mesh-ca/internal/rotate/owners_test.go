package rotate_test

import (
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// owner lets the owner of a cluster run, where that is harmless at any time: certgen always, Helm in a mesh in which all clusters are Helm's. In a mixed mesh
// a Helm upgrade is not, which the plan says.
func (w *world) owner(p *modeltest.Process, helmOnly bool) {
	_, byCertgen := p.Objects["cronjobs/clustermesh-apiserver-generate-certs"]
	switch {
	case byCertgen:
		w.Certgen(p, func(string) bool { return true })
	case helmOnly:
		w.HelmUpgrade(p)
	}
}
