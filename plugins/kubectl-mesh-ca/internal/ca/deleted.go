package ca

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// keptByHelm are the leaf Secrets whose certificates Helm keeps (see dropHubble). Only these are deleted.
func keptByHelm() []string { return []string{pki.SecretHubbleServer, pki.SecretHubbleRelay} }

// readDeleted finds leaf Secrets that are missing and that a command of mesh-ca deleted earlier, so that Helm recreates them: they do not exist, a workload
// mounts them, and a backup exists that has the marks of Helm. The backup stays after the upgrade, so that it does not tell who deleted them last. Secrets are
// listed only if one is missing.
func (s *State) readDeleted(ctx context.Context) {
	missing := slices.DeleteFunc(keptByHelm(), func(name string) bool { return !s.misses(name) })
	if len(missing) == 0 {
		return
	}
	list, err := s.Member.Client.CoreV1().Secrets(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelBackupOf + " in (" + strings.Join(missing, ",") + ")"})
	if err != nil {
		s.DeletedNote = errList(s.Namespace, err).Error()
		return
	}
	s.Deleted = map[string]pki.Owner{}
	for _, backup := range list.Items {
		var marks Marks
		if json.Unmarshal([]byte(backup.Annotations[annotationFormerMark]), &marks) != nil {
			continue
		}
		owner := pki.FindOwner(metav1.ObjectMeta{Labels: marks.Labels, Annotations: marks.Annotations})
		if of := backup.Labels[labelBackupOf]; owner.Kind == pki.OwnerHelm && slices.Contains(missing, of) {
			s.Deleted[of] = owner
		}
	}
}

// misses reports whether a workload mounts a Secret that does not exist.
func (s *State) misses(name string) bool {
	secret := s.Secrets[name]
	return secret.Object == nil && secret.Unreadable == "" && slices.Contains(pki.MountedRefs(s.Side.Agent, s.Side.Relay), pki.Ref{Kind: pki.Secret, Name: name})
}

// NewRecreation creates a leaf Secret again as it was read, with the marks of its owner.
func NewRecreation(of *State, name, manager string) *Write {
	have, marks := of.Secrets[name].Object, marksOf(of.Secrets[name].Object)
	return NewCreation(of, change.Secret, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: of.Namespace, Labels: marks.Labels, Annotations: marks.Annotations}, Type: have.Type, Data: have.Data,
	}, manager, "created again, because helm failed", AccessCreateSecrets())
}
