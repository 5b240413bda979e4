package rotate_test

import (
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// The owners of leaf certificates may run at any time. These are imitations by the rules that were measured with the real ones (docs/rotation.md).

// helmUpgrade is `helm upgrade` of a chart from 1.18 on: the first block of cilium-ca signs, the whole file becomes ca.crt, and Hubble's certificates stay.
func (w *world) helmUpgrade(p *modeltest.Process) {
	authority := p.Secret(pki.SecretCA).Data
	signer, err := pki.ParseSigner(authority)
	must(w.T, err)
	w.issue(p, signer, nil, authority[pki.KeyCACert], func(secret string) bool { return !strings.HasPrefix(secret, "hubble-") })
	w.Wrote(p, "secrets", "helm upgrade")
}

// certgen is its Job: the first block signs, all but the last are sent with the certificate if they are not what signed it alone, and the last alone becomes ca.crt.
func (w *world) certgen(p *modeltest.Process) {
	authority := p.Secret(pki.SecretCA).Data
	signer, err := pki.ParseSigner(authority)
	must(w.T, err)
	blocks, err := pki.ParseCertificates(authority[pki.KeyCACert])
	must(w.T, err)
	with := blocks[:len(blocks)-1]
	w.issue(p, signer, pki.EncodeCertificates(with...), pki.EncodeCertificates(blocks[len(blocks)-1]), func(string) bool { return true })
	w.Wrote(p, "secrets", "certgen")
}

func (w *world) issue(p *modeltest.Process, signer pki.CertKey, with, trust []byte, reissues func(secret string) bool) {
	for _, spec := range pki.LeafSpecs() {
		secret := p.Secret(spec.Secret)
		if secret == nil {
			continue
		}
		leaf, err := pki.ParseLeaf(secret.Data)
		must(w.T, err)
		secret.Data[pki.KeyCACert] = trust
		if reissues(spec.Secret) {
			made, err := signer.Reissue(leaf.Cert(), w.At)
			must(w.T, err)
			secret.Data[pki.KeyTLSCert], secret.Data[pki.KeyTLSKey] = append(made.CertPEM(), with...), made.KeyPEM()
		}
		p.Put("secrets", secret)
	}
}

// owner lets the owner of a cluster run, where that is harmless at any time: certgen always, Helm in a mesh in which all clusters are Helm's. In a mixed mesh
// a Helm upgrade is not, which the plan says.
func (w *world) owner(p *modeltest.Process, helmOnly bool) {
	_, byCertgen := p.Objects["cronjobs/clustermesh-apiserver-generate-certs"]
	switch {
	case byCertgen:
		w.certgen(p)
	case helmOnly:
		w.helmUpgrade(p)
	}
}
