package reissue_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

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

// TestHelmFails: Hubble's Secrets that were deleted for the upgrade are there again if helm fails. If the command is killed before it can do that, status and the
// next command know that they are missing.
func TestHelmFails(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	hubble := []string{pki.SecretHubbleServer, pki.SecretHubbleRelay}
	w := newWorld(t, func(string) catest.Install {
		return catest.Install{CA: &one, EtcdStarted: pkitest.Now, Edit: func(s map[string]*corev1.Secret) {
			for _, name := range hubble { // only these are due
				leaf, err := pki.ParseLeaf(s[name].Data)
				must(t, err)
				soon := one.Issue(t, pkitest.Spec{Name: leaf.Cert().Subject.CommonName, DNS: leaf.Cert().DNSNames, NotBefore: pkitest.Now.Add(-900 * pkitest.Day), NotAfter: pkitest.Now.Add(10 * pkitest.Day)})
				s[name].Data = pkitest.LeafSecret(soon, one.CertPEM)
			}
		}}
	}, "us")
	before := map[string]*corev1.Secret{}
	for _, name := range hubble {
		before[name] = w.secret("us", name)
	}
	run := func() (*reissue.Report, error) {
		t.Helper()
		return w.reissue(reissue.Config{Means: w.means(false, true), Which: ca.Which{Soon: reissue.DefaultSoon}})
	}
	w.helmFails = true
	report, err := run()
	if err == nil || !strings.Contains(err.Error(), `cluster "us": helm failed: exit status 1. To go on, run: kubectl mesh-ca reissue`) || report.Complete || len(report.UndoCommands) > 0 {
		t.Fatalf("%v, %+v", err, report)
	}
	for _, name := range hubble {
		got := w.secret("us", name)
		if got == nil || !cmp.Equal(got.Data, before[name].Data) || !cmp.Equal(got.Labels, before[name].Labels) || !cmp.Equal(got.Annotations, before[name].Annotations) || got.Type != before[name].Type {
			t.Fatalf("%s: %+v", name, got)
		}
	}
	// It was killed while helm ran.
	for _, name := range hubble {
		must(t, w.mesh.API["us"].CoreV1().Secrets(catest.Namespace).Delete(t.Context(), name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{}}))
	}
	states := ca.ReadAll(t.Context(), w.mesh.Members, time.Minute).States
	ca.ReadKept(t.Context(), states, time.Minute)
	status := ca.Report(w.mesh.Members, states, pkitest.Now)
	if len(status.Findings) != 1 || status.Findings[0].ID != "CA020" || !strings.Contains(status.Findings[0].Message, "a backup shows that mesh-ca deleted it earlier. A Helm upgrade recreates it") || len(status.Findings[0].Objects) != 2 || len(status.NextSteps) != 1 || !strings.Contains(status.NextSteps[0].Command, "helm --kube-context kind-us -n kube-system upgrade cilium") {
		t.Errorf("%+v\n%+v", status.Findings, status.NextSteps)
	}
	w.helmFails = false
	report, err = run()
	if err != nil || !report.Complete {
		t.Fatal(err, report.Waiting)
	}
	w.ends(false)
	for _, name := range hubble {
		if w.secret("us", name) == nil {
			t.Errorf("secret %s is missing", name)
		}
	}
	if diff := cmp.Diff([]string{"helm us", "helm us"}, w.log); diff != "" {
		t.Error(diff)
	}
	if report, err := run(); err != nil || len(report.Changes) > 0 {
		t.Errorf("again: %v, %+v", err, report.Changes)
	}
}

// TestReissuedCA: a CA that was issued again under its key is in every CA file afterwards, and etcd restarts.
func TestReissuedCA(t *testing.T) {
	t.Parallel()
	former := pkitest.NewCA(t, pkitest.Spec{NotAfter: pkitest.Now.Add(5 * pkitest.Day)})
	now := pkitest.NewCA(t, pkitest.Spec{Key: former.Key})
	w := newWorld(t, func(string) catest.Install { return catest.Install{CA: &now, LeafCA: &former, Method: "hand"} }, "us", "eu")
	if report, err := w.reissue(reissue.Config{Means: w.means(true, false)}); err != nil {
		t.Fatal(err, report.Waiting)
	}
	must(t, w.Sleep(t.Context(), time.Second)) // the model's kubelets act when time passes
	w.ends(true)
	for _, cluster := range []string{"us", "eu"} {
		if got := w.trust(cluster, pki.SecretServer); got != string(now.CertPEM) {
			t.Errorf("%s: %s", cluster, got)
		}
	}
	if diff := cmp.Diff([]string{"restart us", "restart eu", "agents us", "agents eu"}, w.log); diff != "" {
		t.Error(diff)
	}
}

// TestRootEndsFirst: cilium-ca is an intermediate CA that outlives its root. The files that are signed here end with the root, and nothing waits for others.
func TestRootEndsFirst(t *testing.T) {
	t.Parallel()
	root := pkitest.NewCA(t, pkitest.Spec{Name: "Root", NotAfter: pkitest.Now.Add(90 * pkitest.Day)})
	below := root.Intermediate(t, pkitest.Spec{Name: "below"})
	chain := below.With(root)
	w := newWorld(t, func(string) catest.Install {
		former := pkitest.NewCA(t, pkitest.Spec{})
		return catest.Install{CA: &chain, LeafCA: &former, Method: "hand", CAOwner: "certgen", EtcdStarted: pkitest.Now}
	}, "us", "eu")
	if report, err := w.reissue(reissue.Config{Means: w.means(false, false)}); err != nil {
		t.Fatal(err, report.Waiting)
	}
	if got := w.trust("us", pki.SecretServer); got != string(root.CertPEM) {
		t.Error(got)
	}
	if report, err := w.reissue(reissue.Config{Means: w.means(false, false)}); err != nil || len(report.Changes) > 0 {
		t.Errorf("again: %v, %+v", err, report.Changes)
	}
}

// TestRestartThatIsNotWritten: an API server that answers a restart with an error has not restarted anything.
func TestRestartThatIsNotWritten(t *testing.T) {
	t.Parallel()
	w := synced(t, map[string]string{"us": "hand"})
	w.mesh.API["us"].PrependReactor("patch", "deployments", func(a ktesting.Action) (bool, runtime.Object, error) {
		if catest.DryRun(a) {
			return false, nil, nil
		}
		return true, nil, apierrors.NewInternalError(errors.New("failed calling webhook \"pods.example.com\""))
	})
	report, err := w.reissue(reissue.Config{Means: w.means(true, false)})
	if err == nil || errors.Is(err, reissue.ErrWaiting) || !strings.Contains(err.Error(), "deployment kube-system/clustermesh-apiserver: it was not written: ") || !strings.Contains(err.Error(), "pods.example.com") {
		t.Fatal(err)
	}
	for _, c := range report.Changes {
		if c.Object == "deployment/clustermesh-apiserver" && c.Result != v1alpha1.ResultFailed {
			t.Errorf("%+v", c)
		}
	}
	if len(w.log) > 0 {
		t.Errorf("%q", w.log)
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

// leaves changes all leaf Secrets of a cluster: certificates are sent in addition, and the CA file contains others.
func leaves(secrets map[string]*corev1.Secret, sent, trust []pkitest.CA) {
	for _, spec := range pki.LeafSpecs() {
		s := secrets[spec.Secret]
		if s == nil {
			continue
		}
		for _, c := range sent {
			s.Data[pki.KeyTLSCert] = append(s.Data[pki.KeyTLSCert], c.CertPEM...)
		}
		s.Data[pki.KeyCACert] = files(trust...)
	}
}

func files(of ...pkitest.CA) []byte {
	var out []byte
	for _, c := range of {
		out = append(out, c.CertPEM...)
	}
	return out
}

// trusted lists the pairs of clusters that trust each other.
func (w *world) trusted() []string {
	var out []string
	for _, p := range pki.Matrix(ca.After(ca.ReadAll(w.t.Context(), w.mesh.Members, time.Minute).States, nil), w.at) {
		if p.Verdict == pki.OK {
			out = append(out, p.Client+" "+p.Server)
		}
	}
	return out
}

// TestKeepsTrust: what makes other clusters trust a leaf certificate, or be trusted, may be in its Secret alone. It survives the re-issue, or nothing is written.
func TestKeepsTrust(t *testing.T) {
	t.Parallel()
	one, two, root := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{Name: "Root"})
	again := pkitest.NewCA(t, pkitest.Spec{Name: "Root", Key: root.Key, NotAfter: root.Cert.NotAfter.Add(pkitest.Day)})
	x12, x21 := two.Cross(t, one), one.Cross(t, two)
	below, beside := root.Intermediate(t, pkitest.Spec{Name: "below"}), root.Intermediate(t, pkitest.Spec{Name: "beside"})
	type list = []pkitest.CA
	type side struct {
		ca          *pkitest.CA // its certificate signs
		leaf        *pkitest.CA // it signed the leaf certificates; ca by default
		with        list        // in cilium-ca
		sent, trust list
	}
	for name, c := range map[string]struct {
		us, eu  side
		refused string
		want    list // the CA file of us afterwards
		ends    bool // the trust ends, perhaps until eu has changed too
		allow   bool
		apart   bool // the clusters are not peers
	}{
		"federated by cross certificates": {us: side{ca: &one, sent: list{x12}, trust: list{one}}, eu: side{ca: &two, sent: list{x21}, trust: list{two}}, want: list{one}},
		"federated by CA files":           {us: side{ca: &one, trust: list{one, two}}, eu: side{ca: &two, trust: list{two, one}}, want: list{one, two}},
		"below a root": {us: side{ca: &below, with: list{root}, sent: list{below}, trust: list{root}}, eu: side{ca: &beside, with: list{root}, sent: list{beside}, trust: list{root}},
			want: list{below, root}},
		"below a root that is not in cilium-ca":      {us: side{ca: &below, sent: list{below}, trust: list{root}}, eu: side{ca: &beside, sent: list{beside}, trust: list{root}}, want: list{below, root}},
		"signed by the other, before federate --off": {us: side{ca: &one, leaf: &two, sent: list{x21}, trust: list{two, one}}, eu: side{ca: &two, trust: list{two, one}}, want: list{one, two}},
		"another CA than before":                     {us: side{ca: &two, leaf: &one, trust: list{one, two, root}}, eu: side{ca: &two, trust: list{two, one}}, want: list{two, root}},
		"federated, then the CA of the other":        {us: side{ca: &two, leaf: &one, sent: list{x12}, trust: list{one}}, eu: side{ca: &two, sent: list{x21}, trust: list{two}}, want: list{two}},
		"another CA than before, the same in both":   {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &one, leaf: &root, trust: list{root}}, want: list{one}, ends: true},
		"another root than before":                   {us: side{ca: &two, leaf: &below, sent: list{below}, trust: list{root, two}}, eu: side{ca: &two, trust: list{two, root}}, want: list{two}},
		"who trusts only the intermediate CA": {us: side{ca: &root, leaf: &below, sent: list{below}, trust: list{below, root}}, eu: side{ca: &below, trust: list{below}},
			refused: "this would end the trust between us and eu"},
		"certificates of another PKI, unlike every cilium-ca": {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &two, leaf: &root, trust: list{root}},
			refused: "this would end the trust between us and eu"},
		"the same, allowed":   {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &two, leaf: &root, trust: list{root}}, want: list{one}, ends: true, allow: true},
		"the same, not peers": {us: side{ca: &one, leaf: &root, trust: list{root}}, eu: side{ca: &two, leaf: &root, trust: list{root}}, want: list{one}, ends: true, apart: true},
		"the same, below a root that is not sent": {us: side{ca: &below, with: list{root}, leaf: &one, trust: list{one}}, eu: side{ca: &beside, with: list{root}, leaf: &one, trust: list{one}},
			refused: "this would end the trust between us and eu"},
		"who trusts only the intermediate CA, and the root was issued again": {us: side{ca: &again, leaf: &below, sent: list{below}, trust: list{below, root}}, eu: side{ca: &below, trust: list{below}},
			refused: "this would end the trust between us and eu"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(name string) catest.Install {
				s := c.us
				if name == "eu" {
					s = c.eu
				}
				return catest.Install{CA: s.ca, LeafCA: s.leaf, Method: "hand", EtcdStarted: pkitest.Now, Edit: func(secrets map[string]*corev1.Secret) {
					secrets["cilium-ca"].Data["ca.crt"] = files(append(list{*s.ca}, s.with...)...)
					leaves(secrets, s.sent, s.trust)
					for _, peers := range []string{"cilium-clustermesh", "cilium-kvstoremesh"} {
						if c.apart && secrets[peers] != nil {
							secrets[peers].Data = nil
						}
					}
				}}
			}, "us", "eu")
			before := w.trusted()
			_, err := w.reissue(reissue.Config{Means: w.means(false, false), In: []string{"us"}, Which: ca.Which{All: true}, AllowDisconnect: c.allow})
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "nothing was changed") || w.mesh.Writes() > 0 {
					t.Errorf("%v; %d writes", err, w.mesh.Writes())
				}
				return
			}
			must(t, err)
			if diff := cmp.Diff(before, w.trusted()); (diff != "") != c.ends || len(before) != 2 || w.mesh.Writes() == 0 {
				t.Errorf("trust (-before +after), %d writes\n%s", w.mesh.Writes(), diff)
			}
			leaf, err := pki.ParseLeaf(w.secret("us", pki.SecretServer).Data)
			must(t, err)
			want, err := pki.ParseCertificates(files(c.want...))
			must(t, err)
			if !pki.SameCertificates(leaf.Trust, want) {
				t.Errorf("the CA file has %d certificates, want %d", len(leaf.Trust), len(want))
			}
		})
	}
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
