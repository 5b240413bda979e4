package reissue_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

var cronJobs = []string{"clustermesh-apiserver-generate-certs", "hubble-generate-certs"}

// synced is what a sync leaves: all clusters have one CA, and leaf certificates of another one each, issued by what the name says.
func synced(t *testing.T, methods map[string]string) *world {
	t.Helper()
	one := pkitest.NewCA(t, pkitest.Spec{})
	var names []string
	for _, name := range []string{"us", "eu", "ap"} {
		if methods[name] != "" {
			names = append(names, name)
		}
	}
	return newWorld(t, func(name string) catest.Install {
		former := pkitest.NewCA(t, pkitest.Spec{})
		in := catest.Install{CA: &one, LeafCA: &former, Method: methods[name], CAOwner: "helm"}
		if methods[name] == "certgen" {
			in.CronJobs, in.CAOwner = cronJobs, "certgen"
		}
		return in
	}, names...)
}

func (w *world) reissue(c reissue.Config) (*reissue.Report, error) {
	c.Write, c.Select = w.write(), w.selection
	c.Show = func(v1alpha1.CAChangeReport) []output.Section { return nil }
	report, err := reissue.Run(w.t.Context(), c, ui{w})
	if report != nil {
		documents.CheckValue(w.t, report.CAChangeReport)
	}
	return report, err
}

// TestReissueAndRestart: whoever issues the certificates, all clusters have new ones before the first restart, and agents are last.
func TestReissueAndRestart(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "helm", "eu": "certgen", "ap": "hand"})
	report, err := w.reissue(reissue.Config{Means: w.means(true, true), Which: ca.Which{Soon: reissue.DefaultSoon}})
	if err != nil {
		t.Fatal(err, report.Waiting, w.said)
	}
	w.ends(true)
	want := []string{"helm us", "certgen eu", "certgen eu", "restart us", "restart eu", "restart ap", "agents us", "agents eu", "agents ap"}
	if diff := cmp.Diff(want, w.log); diff != "" {
		t.Errorf("order (-want +got)\n%s", diff)
	}
	if !report.Complete || len(report.NextSteps) > 0 || len(report.Phases) != 3 || report.Phases[2].TookMs == nil {
		t.Errorf("complete %v, next %v, phases %+v", report.Complete, report.NextSteps, report.Phases)
	}
	for _, c := range report.Changes {
		if c.Result != v1alpha1.ResultChanged && c.Result != v1alpha1.ResultUnchanged {
			t.Errorf("%s %s: %s %s", c.Cluster, c.Object, c.Result, c.Message)
		}
	}
	if len(w.kept("ap")) != 6 || !strings.Contains(strings.Join(report.UndoCommands, "\n"), "restore --in ap --backup clustermesh-apiserver-server-cert-backup-") {
		t.Errorf("kept %d, undo %q", len(w.kept("ap")), report.UndoCommands)
	}
	writes := w.mesh.Writes()
	report, err = w.reissue(reissue.Config{Means: w.means(true, true), Which: ca.Which{Soon: reissue.DefaultSoon}})
	if err != nil || len(report.Changes) > 0 || w.mesh.Writes() != writes {
		t.Errorf("again: %v, %+v", err, report.Changes)
	}
}

// TestSignedHere: what is signed here is as it was before, but for key, serial number and issuer.
func TestSignedHere(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand"})
	before, err := pki.ParseLeaf(w.secret("us", pki.SecretServer).Data)
	must(t, err)
	report, err := w.reissue(reissue.Config{Means: w.means(false, false), Which: ca.Which{All: true}})
	must(t, err)
	after, err := pki.ParseLeaf(w.secret("us", pki.SecretServer).Data)
	must(t, err)
	a, b := before.Cert(), after.Cert()
	if diff := cmp.Diff(a.DNSNames, b.DNSNames); diff != "" || a.Subject.String() != b.Subject.String() || !cmp.Equal(a.ExtKeyUsage, b.ExtKeyUsage) ||
		!a.NotAfter.Equal(b.NotAfter) || a.PublicKeyAlgorithm != b.PublicKeyAlgorithm || cmp.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo) {
		t.Errorf("%s %v, was %s %v", b.Subject, b.DNSNames, a.Subject, a.DNSNames)
	}
	if len(report.NextSteps) != 2 || !strings.Contains(report.NextSteps[0].Command, "rollout restart deployment/clustermesh-apiserver") || !report.NextSteps[1].AfterAll {
		t.Errorf("what it did not do: %+v", report.NextSteps)
	}
}

// TestCertgenJob is what kubectl create job --from makes.
func TestCertgenJob(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"eu": "certgen"})
	if _, err := w.reissue(reissue.Config{Means: w.means(false, false)}); err != nil {
		t.Fatal(err)
	}
	jobs, err := w.mesh.API["eu"].BatchV1().Jobs(catest.Namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(jobs.Items) != 2 {
		t.Fatalf("%d jobs", len(jobs.Items))
	}
	for _, j := range jobs.Items {
		if j.Annotations["cronjob.kubernetes.io/instantiate"] != "manual" || len(j.OwnerReferences) != 1 || j.OwnerReferences[0].Kind != "CronJob" {
			t.Errorf("%+v", j.ObjectMeta)
		}
	}
}

// TestEndsEarly: a command that cannot end says what is missing, and which command goes on.
func TestEndsEarly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method string
		edit   func(*world)
		config func(*world) reissue.Config
		want   string
		waits  bool
	}{
		"nobody runs helm": {method: "helm", config: func(w *world) reissue.Config { return reissue.Config{Means: w.means(true, false)} },
			want: "leaf certificates did not end within 1m0s (--wait)", waits: true},
		"a job that fails": {method: "certgen", edit: func(w *world) { w.jobFails = true }, config: func(w *world) reissue.Config { return reissue.Config{Means: w.means(true, false)} },
			want: "failed (BackoffLimitExceeded: Job has reached the specified backoff limit); its log tells why: kubectl --context kind-us -n kube-system logs job/mesh-ca-"},
		"a job that does not end": {method: "certgen", edit: func(w *world) { w.slow = true }, config: func(w *world) reissue.Config { return reissue.Config{Means: w.means(true, false)} },
			want: "is not done. To go on, run: kubectl mesh-ca reissue --contexts kind-us", waits: true},
		"nothing can be observed": {method: "hand", edit: func(w *world) { w.blind = true }, config: func(w *world) reissue.Config {
			return reissue.Config{Means: w.means(true, false), Which: ca.Which{All: true}}
		},
			want: "pods/exec is forbidden", waits: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := synced(t, map[string]string{"us": tc.method})
			if tc.edit != nil {
				tc.edit(w)
			}
			report, err := w.reissue(tc.config(w))
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, reissue.ErrWaiting) != tc.waits {
				t.Fatalf("%v", err)
			}
			if report.Complete || report.RetryCommand == "" || tc.waits && len(report.Waiting) == 0 {
				t.Errorf("complete %v, retry %q, waiting %v", report.Complete, report.RetryCommand, report.Waiting)
			}
			for _, line := range w.log {
				if strings.HasPrefix(line, "agents") {
					t.Error("the agents restarted")
				}
			}
		})
	}
}

// TestGoesOn: after a crash between the restarts, the same command does what is missing.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand", "eu": "hand"})
	w.blind = true
	if _, err := w.reissue(reissue.Config{Means: w.means(true, false)}); !errors.Is(err, reissue.ErrWaiting) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"restart us"}, w.log); diff != "" {
		t.Fatal(diff)
	}
	w.blind = false
	report, err := w.reissue(reissue.Config{Means: w.means(true, false)})
	if err != nil {
		t.Fatal(err, report.Waiting)
	}
	w.ends(true)
	if diff := cmp.Diff([]string{"restart us", "restart eu", "agents eu", "agents us"}, w.log); diff != "" {
		t.Error(diff)
	}
}

// TestWaitsForAgents: after a crash while agents restart, the same command waits for them, and does not restart them once more.
func TestWaitsForAgents(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand", "eu": "hand"})
	if _, err := w.reissue(reissue.Config{Means: w.means(true, false)}); err != nil {
		t.Fatal(err)
	}
	restarts := len(w.log)
	w.starting = 4
	if report, err := w.reissue(reissue.Config{Means: w.means(true, false)}); err != nil || !report.Complete {
		t.Fatal(err, report.Waiting)
	}
	if w.starting > 0 || len(w.log) != restarts {
		t.Errorf("%d polls are left, %q", w.starting, w.log[restarts:])
	}
}

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

// TestOnlyDue: without --all, certificates that are in order stay; with it, all are issued again, and nothing restarts, because nothing that is trusted changes.
func TestOnlyDue(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	w := newWorld(t, func(string) catest.Install { return catest.Install{CA: &one, Method: "hand", EtcdStarted: pkitest.Now} }, "us", "eu")
	if report, err := w.reissue(reissue.Config{Means: w.means(true, false), Which: ca.Which{Soon: reissue.DefaultSoon}}); err != nil || len(report.Changes) > 0 {
		t.Fatal(err, report.Changes)
	}
	report, err := w.reissue(reissue.Config{Means: w.means(true, false), In: []string{"eu"}, Which: ca.Which{All: true}})
	if err != nil || len(w.log) > 0 || len(w.kept("us")) > 0 || len(w.kept("eu")) != 6 {
		t.Fatal(err, w.log, len(w.kept("eu")))
	}
	if len(report.Phases) != 1 {
		t.Errorf("%+v", report.Phases)
	}
	w.ends(true)
}

// TestUnreadTarget: the name of a cluster that could not be read is not known. The error says why.
func TestUnreadTarget(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand", "eu": "hand"})
	w.mesh.Members[1].Err = &failure.Error{Class: failure.TLS, Err: errors.New("x509: unknown authority")}
	w.mesh.Members[1].Name = ""
	_, err := w.reissue(reissue.Config{In: []string{"eu"}, Means: w.means(false, false)})
	if err == nil || !strings.Contains(err.Error(), `no cluster "eu"`) || !strings.Contains(err.Error(), "could not be read (tls)") {
		t.Error(err)
	}
}
