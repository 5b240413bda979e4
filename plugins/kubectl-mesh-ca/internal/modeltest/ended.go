package modeltest

import (
	"crypto/x509"
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// Ended says what is wrong with the Secrets of a cluster after a rotation that ended with OLD, which is first, or with NEW: one CA issued everything, nothing of the rotation is
// left, and no former CA is lost.
func Ended(secrets Source, configMap func(name string) bool, old bool, first *x509.Certificate) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	kept := secrets.Secret(pki.SecretCA)
	if kept == nil {
		return []string{pki.SecretCA + " is lost"}
	}
	authority, err := pki.ParseCA(kept.Data)
	if err != nil || authority.Key != pki.KeyMatches || authority.Signer().Equal(first) != old || len(authority.Chain) != 1 {
		add("cilium-ca: %v, %d certificates, old %t", err, len(authority.Chain), err == nil && authority.Signer().Equal(first))
		return out
	}
	for _, spec := range pki.LeafSpecs() {
		secret := secrets.Secret(spec.Secret)
		if secret == nil {
			continue
		}
		leaf, err := pki.ParseLeaf(secret.Data)
		if err != nil || len(leaf.Chain) != 1 || len(leaf.Trust) != 1 || leaf.Key != pki.KeyMatches || !leaf.SignedBy(authority.Signer()) || !leaf.Trust[0].Equal(authority.Signer()) {
			add("%s: %v, %d in the chain, %d trusted", spec.Secret, err, len(leaf.Chain), len(leaf.Trust))
		}
	}
	if secrets.Secret(rotate.SecretNew) != nil {
		add("secret/%s is left", rotate.SecretNew)
	}
	if configMap(rotate.ConfigMapLock) {
		add("configmap/%s is left", rotate.ConfigMapLock)
	}
	backup := secrets.Secret(ca.BackupName(pki.Fingerprint(first)))
	if old {
		return out
	}
	if backup == nil {
		add("the previous CA is not kept")
	} else if was, err := pki.ParseCA(backup.Data); err != nil || !was.Signer().Equal(first) {
		add("secret/%s does not have the previous CA: %v", backup.Name, err)
	}
	return out
}
