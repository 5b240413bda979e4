package ca_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// When a CA file got its present content, by what the API server records. All Secrets were written at catest.Written, by one manager for all keys.
func TestContent(t *testing.T) {
	t.Parallel()
	born := pkitest.Now.Add(-1000 * time.Hour)
	signer := pkitest.NewCA(t, pkitest.Spec{NotBefore: born})
	at := func(secret *corev1.Secret, when time.Time) { secret.ManagedFields[0].Time = &metav1.Time{Time: when} }
	month := catest.Written.Add(-720 * time.Hour)
	for name, tc := range map[string]struct {
		edit     func(map[string]*corev1.Secret)
		from, to time.Time
	}{
		"renewed from a cilium-ca of the same second": {nil, catest.Written, catest.Written.Add(time.Second)},
		"renewed from an older cilium-ca":             {func(s map[string]*corev1.Secret) { at(s["cilium-ca"], month) }, month, catest.Written.Add(time.Second)},
		"cilium-ca was written later":                 {func(s map[string]*corev1.Secret) { at(s[pki.SecretServer], month) }, born, month.Add(time.Second)},
		"never changed since its creation": {func(s map[string]*corev1.Secret) {
			s[pki.SecretServer].CreationTimestamp = metav1.Time{Time: catest.Written}
		}, catest.Written, catest.Written},
		"ca.crt has a manager of its own": {func(s map[string]*corev1.Secret) {
			at(s["cilium-ca"], month)
			leaf := s[pki.SecretServer]
			leaf.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:data":{"f:tls.crt":{},"f:tls.key":{}}}`)
			leaf.ManagedFields = append(leaf.ManagedFields, metav1.ManagedFieldsEntry{Manager: "trust", Time: &metav1.Time{Time: catest.Written.Add(-time.Hour)}, FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:ca.crt":{}}}`)})
		}, catest.Written.Add(-time.Hour), catest.Written.Add(-time.Hour + time.Second)},
		"nothing is recorded": {func(s map[string]*corev1.Secret) { s[pki.SecretServer].ManagedFields = nil }, born, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := catest.Member(t, "us", catest.Install{CA: &signer, Edit: tc.edit})
			s := ca.ReadAll(t.Context(), []*clusters.Member{m}, time.Minute).States[0]
			file, ok := s.Side.EtcdTrust()
			if got := s.Content(file); !ok || !got.From.Equal(tc.from) || !got.To.Equal(tc.to) {
				t.Errorf("%v to %v, want %v to %v", got.From, got.To, tc.from, tc.to)
			}
		})
	}
}
