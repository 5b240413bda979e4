package federate_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/federate"
)

// TestRepair: one cluster was issued again with another CA, and its etcd restarted. Nothing is restarted to heal that.
func TestRepair(t *testing.T) {
	t.Parallel()
	shared := pkitest.NewCA(t, pkitest.Spec{})
	for name, replaced := range map[string]bool{"with its cilium-ca": true, "although cilium-ca is the new one everywhere": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			naive := pkitest.NewCA(t, pkitest.Spec{RSA: true, Encoding: pkitest.PKCS1})
			w := newWorldOf(t, func(_ string, n int) catest.Install {
				in := catest.Install{CA: &shared}
				if n == 0 {
					in.CA = &naive
				} else if !replaced {
					in.CA, in.LeafCA = &naive, &shared
				}
				return in
			}, "us", "eu", "ap")
			if !replaced { // a sync keeps what it replaces
				backup := ca.NewBackup(&corev1.Secret{Data: shared.CASecret()}, pki.Fingerprint(shared.Cert))
				backup.Namespace, backup.Labels[ca.LabelBackupOf] = catest.Namespace, pki.SecretCA
				w.Mesh[1].Put("secrets", backup)
			}
			if w.Handshake(w.Mesh[0], w.Mesh[1]) == "" {
				t.Fatal("nothing is broken")
			}
			report, err := w.run(-1, func(c *federate.Config) { c.Action = federate.Repair })
			if err != nil {
				t.Fatal(err, report.Waiting)
			}
			w.trusted("repaired")
			for _, p := range w.Mesh {
				if p.Restarted() {
					t.Errorf("%s was restarted", p.Name)
				}
			}
			if len(report.NextSteps) == 0 || report.Recipe != string(federate.Files) {
				t.Errorf("%s, %v", report.Recipe, report.NextSteps)
			}
		})
	}
}

// rotated is what a rotation leaves of certgen without a CronJob: mesh-ca wrote all keys of the leaf Secrets of Cluster Mesh. Hubble's are Helm's.
func rotated(hubble bool) catest.Install {
	return catest.Install{Method: "certgen", Edit: func(secrets map[string]*corev1.Secret) {
		for name, secret := range secrets {
			written := secret.ManagedFields[0]
			switch {
			case strings.HasPrefix(name, "hubble-") && !hubble:
				delete(secrets, name)
			case strings.HasPrefix(name, "hubble-"):
				secret.Labels, secret.Annotations = map[string]string{pki.LabelManagedBy: "Helm"}, map[string]string{pki.AnnotationRelease: "cilium"}
				secret.ManagedFields[0].Manager = "helm"
			case written.Manager == "cilium-certgen":
				tls, trust := written, written
				tls.Manager, tls.FieldsV1 = pki.FieldManager, metav1.NewFieldsV1(`{"f:data":{"f:tls.crt":{},"f:tls.key":{}}}`)
				trust.Manager, trust.FieldsV1 = pki.FieldManagerTrust, metav1.NewFieldsV1(`{"f:data":{"f:ca.crt":{}}}`)
				written.FieldsV1 = metav1.NewFieldsV1(`{"f:data":{".":{}},"f:type":{}}`)
				secret.ManagedFields = []metav1.ManagedFieldsEntry{written, tls, trust}
			}
		}
	}}
}

// TestRefused: nothing is written, and the reason says which cluster and what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	broken := func(spec pkitest.Spec) func(testing.TB) catest.Install {
		return func(t testing.TB) catest.Install {
			own := pkitest.NewCA(t, spec)
			return catest.Install{CA: &own}
		}
	}
	edit := func(change func(map[string]*corev1.Secret)) func(testing.TB) catest.Install {
		return func(testing.TB) catest.Install { return catest.Install{Edit: change} }
	}
	for name, c := range map[string]struct {
		eu   func(testing.TB) catest.Install
		want string
	}{
		"certgen beside Helm":             {func(testing.TB) catest.Install { return install("certgen") }, "do not combine"},
		"certgen beside Helm, rotated":    {func(testing.TB) catest.Install { return rotated(true) }, "both issue leaf certificates in eu"},
		"certgen without Hubble, rotated": {func(testing.TB) catest.Install { return rotated(false) }, "Helm issues the leaf certificates in us, certgen in eu"},
		"path length 0":                   {broken(pkitest.Spec{NoPath: true}), "its path length is 0"},
		"expired":                         {broken(pkitest.Spec{NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-pkitest.Day)}), "it expired on"},
		"no key":                          {edit(func(s map[string]*corev1.Secret) { delete(s[pki.SecretCA].Data, "ca.key") }), "cannot sign"},
		"no CA":                           {edit(func(s map[string]*corev1.Secret) { delete(s, pki.SecretCA) }), "secret cilium-ca does not exist"},
		"cert-manager":                    {func(testing.TB) catest.Install { return catest.Install{Method: "cert-manager"} }, "is managed by cert-manager"},
		"Argo CD":                         {func(testing.TB) catest.Install { return catest.Install{CAOwner: "argocd"} }, "--force-conflicts"},
		"a leaf certificate of another CA": {func(t testing.TB) catest.Install {
			other := pkitest.NewCA(t, pkitest.Spec{})
			return catest.Install{LeafCA: &other}
		}, "rotate repair"},
		"a trust bundle": {func(testing.TB) catest.Install { return catest.Install{UseBundle: true, Bundle: []byte("x")} }, "tls.caBundle"},
		"a rotation": {edit(func(s map[string]*corev1.Secret) {
			s[ca.SecretRotation] = &corev1.Secret{Data: map[string][]byte{}}
			s[ca.SecretRotation].Name = ca.SecretRotation
		}), "a rotation of the CA is under way"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOf(t, func(name string, _ int) catest.Install {
				if name == "eu" {
					return c.eu(t)
				}
				return install("helm")
			}, "us", "eu")
			writes := len(w.Log)
			report, err := w.run(-1, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || len(w.Log) != writes+1 || len(report.Changes) > 0 {
				t.Errorf("%v, %d writes", err, len(w.Log)-writes-1)
			}
		})
	}
}
