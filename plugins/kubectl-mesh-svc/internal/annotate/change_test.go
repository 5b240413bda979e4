package annotate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// cluster is a member over a fake API that allows everything unless told otherwise, and notes every write.
type cluster struct {
	*clusters.Member
	api    *fake.Clientset
	writes *[]string // over all clusters, in order
}

func newCluster(t *testing.T, name string, log *[]string, svc *corev1.Service, allowed bool) cluster {
	t.Helper()
	api := fake.NewClientset(svc.DeepCopy())
	api.PrependReactor("create", "selfsubjectaccessreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: allowed}}, nil
	})
	// The fake stores what a dry run sends, so dry runs are answered here.
	api.PrependReactor("patch", "services", func(a k8stesting.Action) (bool, runtime.Object, error) {
		p, ok := a.(k8stesting.PatchActionImpl)
		if !ok {
			return false, nil, nil
		}
		if len(p.PatchOptions.DryRun) > 0 {
			*log = append(*log, name+" dry-run")
			return true, annotated(t, svc, p.GetPatch()), nil
		}
		*log = append(*log, name+" "+p.PatchOptions.FieldManager+" "+string(p.GetPatch()))
		return false, nil, nil
	})
	return cluster{&clusters.Member{Name: name, Context: "kind-" + name, UID: "uid-" + name, Client: api}, api, log}
}

// annotated is a Service after a patch.
func annotated(t *testing.T, svc *corev1.Service, patch []byte) *corev1.Service {
	t.Helper()
	var sent struct {
		Metadata struct{ Annotations Values }
	}
	if err := json.Unmarshal(patch, &sent); err != nil {
		t.Error(err)
	}
	svc = svc.DeepCopy()
	for k, v := range sent.Metadata.Annotations {
		if v == nil {
			delete(svc.Annotations, k)
			continue
		}
		metav1.SetMetaDataAnnotation(&svc.ObjectMeta, k, *v)
	}
	return svc
}

func nginx(ann map[string]string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "nginx", UID: "u1", ResourceVersion: "7", Annotations: ann}}
}

func results(p *Plan) string {
	var out []string
	for _, i := range p.Items {
		out = append(out, i.Member.Name+":"+i.Result)
	}
	return strings.Join(out, " ")
}

var options = change.Options{Timeout: time.Minute}

// preflight is what a command does before it writes.
func preflight(ctx context.Context, p *Plan, o change.Options) error {
	p.RefuseConflicts()
	return p.Change().Preflight(ctx, o)
}

func TestApplyWritesAllAndOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	var log []string
	us := newCluster(t, "us", &log, nginx(map[string]string{"io.x/alias": "true", "keep": "me"}), true)
	eu := newCluster(t, "eu", &log, nginx(map[string]string{"x/global": "true"}), true)
	edits := Values{"x/global": ptr.To("true"), "io.x/alias": nil}
	plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{
		NewItem(us.Member, nginx(map[string]string{"io.x/alias": "true", "keep": "me"}), edits),
		NewItem(eu.Member, nginx(map[string]string{"x/global": "true"}), edits),
		Absent(us.Member, "default", "other"),
	}}
	if err := preflight(t.Context(), plan, options); err != nil {
		t.Fatal(err)
	}
	if err := plan.Change().Apply(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	if got := results(plan); got != "us:changed eu:unchanged us:absent" {
		t.Errorf("results %s", got)
	}
	want := []string{"us dry-run", `us mesh-svc {"metadata":{"annotations":{"io.x/alias":null,"x/global":"true"},"resourceVersion":"7","uid":"u1"}}`}
	if d := cmp.Diff(want, log); d != "" {
		t.Error(d)
	}
	got, err := us.api.CoreV1().Services("default").Get(t.Context(), "nginx", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"keep": "me", "x/global": "true"}, got.Annotations); d != "" {
		t.Error(d)
	}
}

func TestApplyStopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	// What the API server rejected did not happen; what got no clear answer is read back.
	for name, c := range map[string]struct {
		err     error
		want    string
		message string
	}{
		"refused by admission": {apierrors.NewForbidden(corev1.Resource("services"), "nginx", errors.New("policy")), "us:changed eu:failed ap:planned", "policy"},
		"never connected":      {&net.OpError{Op: "dial", Err: errors.New("refused")}, "us:changed eu:failed ap:planned", "refused"},
		"an internal error":    {apierrors.NewInternalError(errors.New("etcd is gone")), "us:changed eu:failed ap:planned", "it was not written: Internal error occurred: etcd is gone"},
		"the connection broke": {io.ErrUnexpectedEOF, "us:changed eu:failed ap:planned", "it was not written: unexpected EOF"},
		"the server timed out": {apierrors.NewTimeoutError("slow", 1), "us:changed eu:failed ap:planned", "it was not written: Timeout: slow"},
		"no answer in time":    {context.DeadlineExceeded, "us:changed eu:failed ap:planned", "it was not written: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stopsAt(t, c.err, c.want, c.message)
		})
	}
}

func stopsAt(t *testing.T, failure error, want, message string) {
	t.Helper()
	var log []string
	edits := Values{"x/global": ptr.To("true")}
	us, eu, ap := newCluster(t, "us", &log, nginx(nil), true), newCluster(t, "eu", &log, nginx(nil), true), newCluster(t, "ap", &log, nginx(nil), true)
	eu.api.PrependReactor("patch", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, failure
	})
	plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{
		NewItem(us.Member, nginx(nil), edits), NewItem(eu.Member, nginx(nil), edits), NewItem(ap.Member, nginx(nil), edits)}}
	if err := plan.Change().Apply(t.Context(), options); err == nil || !strings.Contains(err.Error(), `cluster "eu"`) {
		t.Fatalf("error %v", err)
	}
	if got := results(plan); got != want || !strings.Contains(plan.Items[1].Message, message) {
		t.Errorf("results %s, want %s; %q, want %q", got, want, plan.Items[1].Message, message)
	}
	if plan.Report([]*clusters.Member{us.Member, eu.Member, ap.Member}, "none").Complete {
		t.Error("complete although ap was not written")
	}
}

func TestApplyAfterConflict(t *testing.T) {
	t.Parallel()
	edits := Values{"x/global": ptr.To("true")}
	cases := map[string]struct {
		now  *corev1.Service // what is there when the conflict is looked at
		want string
	}{
		"an unrelated field changed": {func() *corev1.Service { s := nginx(nil); s.ResourceVersion = "8"; return s }(), "us:changed"},
		"our key changed":            {nginx(map[string]string{"x/global": "false"}), "us:failed"},
		"recreated":                  {func() *corev1.Service { s := nginx(nil); s.UID = "u2"; return s }(), "us:failed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log []string
			us := newCluster(t, "us", &log, c.now, true)
			first := true
			us.api.PrependReactor("patch", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
				if first {
					first = false
					return true, nil, apierrors.NewConflict(corev1.Resource("services"), "nginx", errors.New("modified"))
				}
				return false, nil, nil
			})
			plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), edits)}}
			err := plan.Change().Apply(t.Context(), options)
			if got := results(plan); got != c.want {
				t.Errorf("results %s, want %s (%v)", got, c.want, err)
			}
			if c.want == "us:failed" && !errors.Is(err, change.ErrConflict) && !errors.Is(err, change.ErrRecreated) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestInterruptLeavesTheRestPlanned(t *testing.T) {
	t.Parallel()
	var log []string
	ctx, cancel := context.WithCancel(t.Context())
	edits := Values{"x/global": ptr.To("true")}
	us, eu := newCluster(t, "us", &log, nginx(nil), true), newCluster(t, "eu", &log, nginx(nil), true)
	us.api.PrependReactor("patch", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		cancel() // Ctrl-C while the write is under way
		return false, nil, nil
	})
	plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), edits), NewItem(eu.Member, nginx(nil), edits)}}
	if err := plan.Change().Apply(ctx, options); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if got := results(plan); got != "us:changed eu:planned" {
		t.Errorf("results %s", got)
	}
	if r := plan.Report([]*clusters.Member{us.Member, eu.Member}, "none"); r.Complete {
		t.Error("complete although eu was not written")
	}
	if m := plan.Items[1].Message; !strings.Contains(m, "not written") {
		t.Errorf("what was not begun says %q", m)
	}
}

func TestReadBackFindsWhatAWebhookChanged(t *testing.T) {
	t.Parallel()
	var log []string
	us := newCluster(t, "us", &log, nginx(nil), true)
	us.api.PrependReactor("patch", "services", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nginx(nil), nil })
	plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), Values{"x/global": ptr.To("true")})}}
	if err := plan.Change().Apply(t.Context(), options); err == nil || !strings.Contains(err.Error(), "written, but an admission webhook or a controller removed x/global") {
		t.Fatalf("error %v", err)
	}
	if got := results(plan); got != "us:"+v1alpha1.ResultFailed {
		t.Errorf("results %s", got)
	}
}

// TestReadBackThatFails: what was written and could not be looked at is named, and the report is not complete.
func TestReadBackThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		want    string
		results string
	}{
		"gone":      {apierrors.NewNotFound(corev1.Resource("services"), "nginx"), "an admission webhook or a controller removed service default/nginx", "us:failed eu:planned"},
		"no answer": {context.DeadlineExceeded, "it could not be read back: context deadline exceeded", "us:unknown eu:planned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log []string
			us, eu := newCluster(t, "us", &log, nginx(nil), true), newCluster(t, "eu", &log, nginx(nil), true)
			us.api.PrependReactor("get", "services", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, c.err })
			edits := Values{"x/global": ptr.To("true")}
			plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), edits), NewItem(eu.Member, nginx(nil), edits)}}
			err := plan.Change().Apply(t.Context(), options)
			if err == nil || !strings.Contains(err.Error(), `cluster "us": globalize service default/nginx: written, but `+c.want) {
				t.Errorf("error %v", err)
			}
			if got := results(plan); got != c.results {
				t.Errorf("results %s", got)
			}
			if plan.Report([]*clusters.Member{us.Member, eu.Member}, "none").Complete {
				t.Error("complete")
			}
		})
	}
	// Ctrl-C says more than what could not be read after it.
	var log []string
	ctx, cancel := context.WithCancel(t.Context())
	us := newCluster(t, "us", &log, nginx(nil), true)
	us.api.PrependReactor("get", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		cancel()
		return true, nil, io.ErrUnexpectedEOF
	})
	plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), Values{"x/global": ptr.To("true")})}}
	if err := plan.Change().Apply(ctx, options); !errors.Is(err, context.Canceled) || plan.Report([]*clusters.Member{us.Member}, "none").Complete {
		t.Errorf("interrupted: %v", err)
	}
}

func TestOurOwnManagersAreNoConflict(t *testing.T) {
	t.Parallel()
	i := &Item{Owners: []Owner{{"x/y", "ci-bot"}}}
	if got := i.conflict([]string{"mesh-svc", ""}); got == "" {
		t.Error("ci-bot is a stranger here")
	}
	plan := &Plan{Manager: "mesh-svc", Former: "ci-bot"}
	if got := i.conflict(plan.exempt()); got != "" {
		t.Errorf("undo of its own change: %s", got)
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	for manager, want := range map[string]bool{
		"argocd-controller": true, "kustomize-controller": true, "helm": true, "Helm": true, "my-operator": true, "terraform": true, "curl": true, "kubectl-neat-operator": true,
		"kubectl-annotate": false, "kubectl-client-side-apply": false, "kubectl-edit": false, "mesh-svc": false, "k9s": false,
	} {
		if got := (Owner{Manager: manager}).Reconciler(); got != want {
			t.Errorf("%s: %v", manager, got)
		}
	}
	entry := func(manager, fields string) metav1.ManagedFieldsEntry {
		e := metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: &metav1.FieldsV1{}}
		e.FieldsV1.SetRawBytes([]byte(fields))
		return e
	}
	got := keyOwners([]metav1.ManagedFieldsEntry{
		entry("a", `{"f:metadata":{"f:annotations":{"f:x/y":{},"f:other":{}}}}`), entry("b", `{"f:spec":{}}`), entry("c", `not json`), {Manager: "d"},
	}, []string{"x/y"})
	if d := cmp.Diff([]Owner{{"x/y", "a"}}, got); d != "" {
		t.Error(d)
	}
}

// TestDeletedMeanwhile: the plan's Service is gone when it is to be written.
func TestDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	var log []string
	us := newCluster(t, "us", &log, nginx(nil), true)
	if err := us.api.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("services"), "default", "nginx"); err != nil {
		t.Fatal(err)
	}
	plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), Values{"x/global": ptr.To("true")})}}
	if err := plan.Change().Apply(t.Context(), options); !errors.Is(err, change.ErrDeleted) || results(plan) != "us:failed" {
		t.Errorf("%v, %s", err, results(plan))
	}
}
