package reissue_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

// TestRefused: a CA that cannot be used, and what else must not begin, changes nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method string
		edit   func(t *testing.T, secrets map[string]*corev1.Secret)
		want   string
	}{
		"EC PARAMETERS with Helm": {"helm", func(_ *testing.T, s map[string]*corev1.Secret) {
			s["cilium-ca"].Data["ca.key"] = append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), s["cilium-ca"].Data["ca.key"]...)
		}, `Helm needs the private key in the first PEM block, and that is "EC PARAMETERS"`},
		"text after the last block with certgen": {"certgen", func(_ *testing.T, s map[string]*corev1.Secret) {
			s["cilium-ca"].Data["ca.crt"] = append(s["cilium-ca"].Data["ca.crt"], []byte("made by hand\n")...)
		}, "certgen does not accept text after the last certificate"},
		"two roots with certgen": {"certgen", func(t *testing.T, s map[string]*corev1.Secret) {
			s["cilium-ca"].Data["ca.crt"] = append(s["cilium-ca"].Data["ca.crt"], pkitest.NewCA(t, pkitest.Spec{Name: "Other"}).CertPEM...)
		}, "certgen cannot sign with the CA: a certificate for"},
		"a key that does not fit": {"hand", func(t *testing.T, s map[string]*corev1.Secret) {
			s["cilium-ca"].Data["ca.key"] = pkitest.NewCA(t, pkitest.Spec{}).KeyPEM
		}, "the private key belongs to another certificate"},
		"a leaf certificate that does not parse": {"hand", func(_ *testing.T, s map[string]*corev1.Secret) {
			s[pki.SecretServer].Data["tls.crt"] = []byte("-----")
		}, "nobody but its author can issue it again"},
		"an immutable leaf Secret": {"hand", func(_ *testing.T, s map[string]*corev1.Secret) {
			yes := true
			s[pki.SecretServer].Immutable = &yes
		}, "is immutable"},
		"a rotation": {"hand", func(_ *testing.T, s map[string]*corev1.Secret) {
			s["cilium-ca-rotation"] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cilium-ca-rotation"}}
		}, "a rotation of the CA is under way in us; nothing was changed. Finish or abort it first; this shows its phase: kubectl mesh-ca rotate status --contexts kind-us"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, former := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
			w := newWorld(t, func(string) catest.Install {
				in := catest.Install{CA: &one, LeafCA: &former, Method: tc.method, CronJobs: cronJobs, Edit: func(s map[string]*corev1.Secret) { tc.edit(t, s) }}
				return in
			}, "us")
			_, err := w.reissue(reissue.Config{Means: w.means(true, true), Which: ca.Which{All: true}})
			if err == nil || !strings.Contains(err.Error(), tc.want) || w.mesh.Writes() > 0 {
				t.Errorf("%v; %d writes", err, w.mesh.Writes())
			}
		})
	}
}

// TestOnDelete: nothing replaces the agents of a DaemonSet with this strategy, so that a command that must restart them does not begin.
func TestOnDelete(t *testing.T) {
	t.Parallel()
	one, former := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	w := newWorld(t, func(string) catest.Install {
		return catest.Install{CA: &one, LeafCA: &former, Method: "hand", Workloads: func(_ *appsv1.Deployment, d *appsv1.DaemonSet) {
			d.Spec.UpdateStrategy.Type = appsv1.OnDeleteDaemonSetStrategyType
		}}
	}, "us")
	_, err := w.reissue(reissue.Config{Means: w.means(true, false)})
	if err == nil || !strings.Contains(err.Error(), "nothing was changed: cluster \"us\": the updateStrategy of daemonset cilium is OnDelete") || w.mesh.Writes() > 0 {
		t.Errorf("%v; %d writes", err, w.mesh.Writes())
	}
	if _, err := w.reissue(reissue.Config{Means: w.means(false, false)}); err != nil {
		t.Error(err)
	}
}

// TestUsagesOfTheCA: a CA whose usages do not cover its leaf certificates signs what nobody accepts.
func TestUsagesOfTheCA(t *testing.T) {
	t.Parallel()
	former := pkitest.NewCA(t, pkitest.Spec{})
	limited := pkitest.NewCA(t, pkitest.Spec{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	w := newWorld(t, func(string) catest.Install { return catest.Install{CA: &limited, LeafCA: &former} }, "us")
	if _, err := w.reissue(reissue.Config{Means: w.means(true, true)}); err == nil || !strings.Contains(err.Error(), "that it signs does not verify") || w.mesh.Writes() > 0 {
		t.Error(err)
	}
}

// TestNameConstraints: a CA that does not permit the names of the leaf certificates is refused, whoever signs with it. One that permits them is not.
func TestNameConstraints(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"helm", "certgen", "hand"} {
		for domain, want := range map[string]string{"example.com": `the name constraints of the CA "CN=Constrained" (SHA-256 `, "cilium.io,svc,localhost,cluster.local": ""} {
			t.Run(method+" "+domain, func(t *testing.T) {
				t.Parallel()
				former := pkitest.NewCA(t, pkitest.Spec{})
				limited := pkitest.NewCA(t, pkitest.Spec{Name: "Constrained", Permitted: strings.Split(domain, ",")})
				w := newWorld(t, func(string) catest.Install {
					in := catest.Install{CA: &limited, LeafCA: &former, Method: method}
					if method == "certgen" {
						in.CronJobs = cronJobs
					}
					return in
				}, "us")
				_, err := w.reissue(reissue.Config{Means: w.means(true, true), Which: ca.Which{All: true}})
				switch {
				case want == "" && err != nil:
					t.Error(err)
				case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "kubectl mesh-ca sync") || w.mesh.Writes() > 0):
					t.Errorf("%v; %d writes", err, w.mesh.Writes())
				}
			})
		}
	}
}

// TestForeignExpired: the command asks a person to issue an expired leaf certificate of another PKI again, waits for it, and signs nothing with cilium-ca.
func TestForeignExpired(t *testing.T) {
	t.Parallel()
	other := pkitest.NewCA(t, pkitest.Spec{})
	w := newWorld(t, func(name string) catest.Install {
		own := pkitest.NewCA(t, pkitest.Spec{})
		return catest.Install{CA: &own, LeafCA: &other, Method: "hand", CAOwner: "helm", EtcdStarted: pkitest.Now, Edit: func(s map[string]*corev1.Secret) {
			if name == "eu" {
				s[pki.SecretRemote].Data = pkitest.LeafSecret(other.Issue(t, pkitest.Spec{Name: "remote", NotBefore: pkitest.Now.Add(-9 * pkitest.Day), NotAfter: pkitest.Now.Add(-time.Hour)}), other.CertPEM)
			}
		}}
	}, "us", "eu")
	before := w.secret("eu", pki.SecretRemote)
	report, err := w.reissue(reissue.Config{Means: w.means(false, false), In: []string{"eu"}, Which: ca.Which{Soon: reissue.DefaultSoon}})
	said := strings.Join(w.said, "\n")
	if !errors.Is(err, reissue.ErrWaiting) || !strings.Contains(said, "managed by hand: issue new certificates at their source") || !cmp.Equal(before, w.secret("eu", pki.SecretRemote)) {
		t.Fatalf("%v\n%s", err, said)
	}
	if len(report.NextSteps) != 1 || !cmp.Equal(report.NextSteps[0].Objects, []string{"secret/" + pki.SecretRemote}) {
		t.Errorf("%+v", report.NextSteps)
	}
}

// TestDeclined: every item is listed as not written.
func TestDeclined(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "helm", "ap": "hand"})
	w.declines = true
	report, err := w.reissue(reissue.Config{Means: w.means(true, true)})
	if err == nil || report.Complete || w.mesh.Writes() > 0 || len(report.Changes) == 0 {
		t.Fatalf("%v, %+v", err, report)
	}
	for _, c := range report.Changes {
		if c.Result != v1alpha1.ResultPlanned || !strings.Contains(c.Message, "not written") {
			t.Errorf("%s %s: %s %q", c.Cluster, c.Object, c.Result, c.Message)
		}
	}
}
