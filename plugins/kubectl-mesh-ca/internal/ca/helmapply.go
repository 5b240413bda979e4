package ca

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// flagForceConflicts is the flag of helm upgrade with which it takes fields over. Helm 3 does not know it.
const flagForceConflicts = "--force-conflicts"

// helmApplies reports whether Helm writes leaf certificates by server-side apply, as Helm 4 does with what it installed. It then fails with conflicts where
// another field manager owns a key whose value it changes (Helm 4; reported by users, not tried here).
func (s *State) helmApplies(which func(*corev1.Secret) bool) bool {
	for _, spec := range pki.LeafSpecs() {
		secret := s.Secrets[spec.Secret].Object
		if secret != nil && which(secret) && slices.ContainsFunc(secret.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
			return owners.ToolOf(f.Manager) == owners.ToolHelm && f.Operation == metav1.ManagedFieldsOperationApply
		}) {
			return true
		}
	}
	return false
}

// helmConflicts reports whether the next upgrade fails with conflicts: another manager than Helm owns a key of a leaf Secret.
func (s *State) helmConflicts() bool {
	return s.helmApplies(func(secret *corev1.Secret) bool {
		managers := owners.Parse(secret.ManagedFields).Below(owners.Field{"data"})
		return slices.ContainsFunc(managers, func(m string) bool { return owners.ToolOf(m) != owners.ToolHelm })
	})
}

// UpgradeNote says what the next upgrade of the Helm release needs after a command writes leaf certificates; "" if nothing.
func (s *State) UpgradeNote() string {
	if !s.helmApplies(func(*corev1.Secret) bool { return true }) {
		return ""
	}
	return fmt.Sprintf("Helm writes the leaf certificates by server-side apply (Helm 4): run the next upgrade of release %s with %s, or it fails with conflicts, because mesh-ca writes them", cmp.Or(s.Release.Name, "cilium"), flagForceConflicts)
}
