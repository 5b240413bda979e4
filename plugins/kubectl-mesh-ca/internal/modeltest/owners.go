package modeltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// The owners of leaf certificates may run at any time. These are imitations by the rules that were measured with the real ones (docs/rotation.md).

// HelmUpgrade is `helm upgrade` of a chart from 1.18 on: the first block of cilium-ca signs, the whole file becomes ca.crt, and Hubble's certificates stay. Those
// that were deleted are made again.
func (w *World) HelmUpgrade(p *Process) {
	authority := p.Secret(pki.SecretCA).Data
	signer, err := pki.ParseSigner(authority)
	must(w.T, err)
	gone := w.makeAgain(p)
	w.issue(p, issuer{signer: signer, trust: authority[pki.KeyCACert], manager: "helm"}, func(secret string) bool {
		return !strings.HasPrefix(secret, "hubble-") || slices.Contains(gone, secret)
	})
	w.Wrote(p, "secrets", "helm upgrade")
}

// makeAgain makes the leaf Secrets of the chart that are not there, from the copies that were kept. Their certificates are still to be issued.
func (w *World) makeAgain(p *Process) (gone []string) {
	kept := map[string]corev1.Secret{}
	for _, s := range p.Secrets() {
		kept[s.Labels["mesh.kubectl.io/backup-of"]] = s
	}
	for _, spec := range pki.LeafSpecs() {
		former, ok := kept[spec.Secret]
		if p.Secret(spec.Secret) != nil || !ok {
			continue
		}
		gone = append(gone, spec.Secret)
		p.Put("secrets", &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: spec.Secret, Namespace: catest.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}, Annotations: map[string]string{"meta.helm.sh/release-name": "cilium", "meta.helm.sh/release-namespace": catest.Namespace}},
			Type:       former.Type, Data: maps.Clone(former.Data),
		})
	}
	return gone
}

// Certgen is its Job: the first block signs, all but the last are sent with the certificate if they are not what signed it alone, and the last alone becomes ca.crt.
func (w *World) Certgen(p *Process, reissues func(secret string) bool) {
	authority := p.Secret(pki.SecretCA).Data
	signer, err := pki.ParseSigner(authority)
	must(w.T, err)
	blocks, err := pki.ParseCertificates(authority[pki.KeyCACert])
	must(w.T, err)
	last := len(blocks) - 1
	w.issue(p, issuer{signer: signer, with: pki.EncodeCertificates(blocks[:last]...), trust: pki.EncodeCertificates(blocks[last]), manager: "cilium-certgen"}, reissues)
	w.Wrote(p, "secrets", "certgen")
}

// issuer is what a tool signs with, what it sends with a certificate, and what it writes as CA file.
type issuer struct {
	signer      pki.CertKey
	with, trust []byte
	manager     string
}

func (w *World) issue(p *Process, by issuer, reissues func(secret string) bool) {
	for _, spec := range pki.LeafSpecs() {
		secret := p.Secret(spec.Secret)
		if secret == nil {
			continue
		}
		leaf, err := pki.ParseLeaf(secret.Data)
		must(w.T, err)
		keys := []string{pki.KeyCACert}
		secret.Data[pki.KeyCACert] = by.trust
		if reissues(spec.Secret) {
			made, err := by.signer.Reissue(leaf.Cert(), w.At)
			must(w.T, err)
			secret.Data[pki.KeyTLSCert], secret.Data[pki.KeyTLSKey] = append(made.CertPEM(), by.with...), made.KeyPEM()
			keys = append(keys, pki.KeyTLSCert, pki.KeyTLSKey)
		}
		p.mu.Lock()
		p.own(secret, by.manager, keys...)
		p.Put("secrets", secret)
		p.mu.Unlock()
	}
}

// runJobs runs the Jobs of certgen that were created, each after a while.
func (w *World) runJobs(p *Process) {
	var due []*batchv1.Job
	p.mu.Lock()
	for _, key := range slices.Sorted(maps.Keys(p.Objects)) {
		if j, ok := p.Objects[key].(*batchv1.Job); ok && len(j.Status.Conditions) == 0 && w.R.IntN(syncChance) == 0 {
			due = append(due, j.DeepCopy())
		}
	}
	p.mu.Unlock()
	for _, j := range due {
		w.Certgen(p, func(secret string) bool {
			return strings.Contains(j.Name, "hubble") == strings.HasPrefix(secret, "hubble")
		})
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		p.mu.Lock()
		p.Put("jobs", j)
		p.mu.Unlock()
	}
}

// Helm runs helm in the model. It is killed with the command that runs it.
type Helm struct{ *World }

// Find finds it.
func (Helm) Find() error { return nil }

// Run is helm upgrade.
func (h Helm) Run(_ context.Context, args, _ []string) error {
	if h.crashed(true) {
		return errCrashed
	}
	n := slices.Index(args, "--kube-context")
	if !slices.Contains(args, "upgrade") || n < 0 {
		return fmt.Errorf("helm %v is not an upgrade", args)
	}
	for _, p := range h.Mesh {
		if p.Member.Context == args[n+1] {
			h.HelmUpgrade(p)
			return nil
		}
	}
	return fmt.Errorf("no context %q", args[n+1])
}
