package rotate_test

import (
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// The owners of leaf certificates may run at any time. These are imitations by the rules that were measured with the real ones (docs/rotation.md).

// helmUpgrade is `helm upgrade` of a chart from 1.18 on: the first block of cilium-ca signs, the whole file becomes ca.crt, and Hubble's certificates stay.
func (w *world) helmUpgrade(p *process) {
	authority := p.secret(pki.SecretCA).Data
	signer, err := pki.ParseSigner(authority)
	must(w.t, err)
	w.issue(p, signer, nil, authority[pki.KeyCACert], func(secret string) bool { return !strings.HasPrefix(secret, "hubble-") })
	w.wrote(p, "secrets", "helm upgrade")
}

// certgen is its Job: the first block signs, all but the last are sent with the certificate if they are not what signed it alone, and the last alone becomes ca.crt.
func (w *world) certgen(p *process) {
	authority := p.secret(pki.SecretCA).Data
	signer, err := pki.ParseSigner(authority)
	must(w.t, err)
	blocks, err := pki.ParseCertificates(authority[pki.KeyCACert])
	must(w.t, err)
	with := blocks[:len(blocks)-1]
	w.issue(p, signer, pki.EncodeCertificates(with...), pki.EncodeCertificates(blocks[len(blocks)-1]), func(string) bool { return true })
	w.wrote(p, "secrets", "certgen")
}

func (w *world) issue(p *process, signer pki.CertKey, with, trust []byte, reissues func(secret string) bool) {
	for _, spec := range pki.LeafSpecs() {
		secret := p.secret(spec.Secret)
		if secret == nil {
			continue
		}
		leaf, err := pki.ParseLeaf(secret.Data)
		must(w.t, err)
		secret.Data[pki.KeyCACert] = trust
		if reissues(spec.Secret) {
			made, err := signer.Reissue(leaf.Cert(), w.at)
			must(w.t, err)
			secret.Data[pki.KeyTLSCert], secret.Data[pki.KeyTLSKey] = append(made.CertPEM(), with...), made.KeyPEM()
		}
		p.mu.Lock()
		p.put("secrets", secret)
		p.mu.Unlock()
	}
}

// owner lets the owner of a cluster run, where that is harmless at any time: certgen always, Helm in a mesh in which all clusters are Helm's. In a mixed mesh
// a Helm upgrade is not, which the plan says.
func (w *world) owner(p *process, helmOnly bool) {
	_, byCertgen := p.objects["cronjobs/clustermesh-apiserver-generate-certs"]
	switch {
	case byCertgen:
		w.certgen(p)
	case helmOnly:
		w.helmUpgrade(p)
	}
}
