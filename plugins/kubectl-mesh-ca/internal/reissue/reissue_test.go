package reissue_test

import (
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
