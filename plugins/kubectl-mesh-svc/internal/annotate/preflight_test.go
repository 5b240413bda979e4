package annotate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

func TestPreflightFailureWritesNothingAnywhere(t *testing.T) {
	t.Parallel()
	edits := Values{"x/global": ptr.To("true")}
	argo := nginx(map[string]string{"x/global": "false"})
	argo.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "argocd-controller", FieldsV1: &metav1.FieldsV1{}}}
	argo.ManagedFields[0].FieldsV1.SetRawBytes([]byte(`{"f:metadata":{"f:annotations":{"f:x/global":{}}}}`))
	cases := map[string]struct {
		eu      *corev1.Service
		allowed bool
		dryErr  error
		opts    change.Options
		want    string
		message string
	}{
		"no permission":        {nginx(nil), false, nil, options, "us:planned eu:failed", "needs {apiGroups"},
		"admission refuses":    {nginx(nil), true, apierrors.NewForbidden(corev1.Resource("services"), "nginx", errors.New("policy")), options, "us:planned eu:failed", "policy"},
		"webhook cannot":       {nginx(nil), true, apierrors.NewBadRequest("admission webhook w does not support dry run"), options, "us:planned eu:failed", "--preflight=access"},
		"a reconciler owns it": {argo, true, nil, options, "us:planned eu:refused", `x/global is owned by "argocd-controller"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log []string
			us := newCluster(t, "us", &log, nginx(nil), true)
			eu := newCluster(t, "eu", &[]string{}, c.eu, c.allowed)
			if c.dryErr != nil {
				eu.api.PrependReactor("patch", "services", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, c.dryErr })
			}
			plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), edits), NewItem(eu.Member, c.eu, edits)}}
			if err := preflight(t.Context(), plan, c.opts); err == nil {
				t.Fatal("no error")
			}
			if got := results(plan); got != c.want {
				t.Errorf("results %s, want %s", got, c.want)
			}
			if !strings.Contains(plan.Items[1].Message, c.message) {
				t.Errorf("message %q, want %q", plan.Items[1].Message, c.message)
			}
			for _, l := range log {
				if !strings.HasSuffix(l, "dry-run") {
					t.Errorf("written: %s", l)
				}
			}
			forced := options
			if c.want == "us:planned eu:refused" {
				plan := &Plan{Manager: "mesh-svc", Items: []*Item{NewItem(eu.Member, c.eu, edits)}}
				if err := plan.Change().Preflight(t.Context(), forced); err != nil {
					t.Errorf("with --force-conflicts: %v", err)
				}
			}
		})
	}
}

// TestPreflightSeesWhatAdmissionMakesOfIt: what a dry-run answers is what a write would leave, and the first cluster must not be written for nothing.
func TestPreflightSeesWhatAdmissionMakesOfIt(t *testing.T) {
	t.Parallel()
	edits := Values{"x/affinity": ptr.To("local"), "x/alias": nil, "x/global": ptr.To("true")}
	before := nginx(map[string]string{"x/alias": "1", "x/global": "true"}) // global is not sent, but read back
	for name, c := range map[string]struct {
		ap   map[string]string // what is there after admission
		opts change.Options
		want string
		says string
	}{
		"another value":        {map[string]string{"x/affinity": "remote", "x/global": "true", "y": "z"}, options, "us:planned ap:refused eu:planned", `admission in the cluster changes x/affinity to "remote"`},
		"none":                 {map[string]string{"x/global": "true"}, options, "us:planned ap:refused eu:planned", "admission in the cluster removes x/affinity"},
		"what goes stays":      {map[string]string{"x/affinity": "local", "x/alias": "1", "x/global": "true"}, options, "us:planned ap:refused eu:planned", `changes x/alias to "1"`},
		"what was not sent":    {map[string]string{"x/affinity": "local", "x/global": "no"}, options, "us:planned ap:refused eu:planned", `changes x/global to "no"`},
		"something else":       {map[string]string{"x/affinity": "local", "x/global": "true", "y": "z"}, options, "us:planned ap:planned eu:planned", ""},
		"permission only":      {map[string]string{"x/global": "true"}, change.Options{Timeout: time.Minute, AccessOnly: true}, "us:planned ap:planned eu:planned", ""},
		"with --allow-partial": {map[string]string{"x/global": "true"}, change.Options{Timeout: time.Minute, AllowPartial: true}, "us:planned ap:refused eu:planned", "removes x/affinity"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := &Plan{Action: "affinity local", Manager: "mesh-svc"}
			for _, cluster := range []string{"us", "ap", "eu"} {
				var log []string
				m := newCluster(t, cluster, &log, before, true)
				if cluster == "ap" {
					m.api.PrependReactor("patch", "services", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nginx(c.ap), nil })
				}
				plan.Items = append(plan.Items, NewItem(m.Member, before, edits))
			}
			err := preflight(t.Context(), plan, c.opts)
			if got := results(plan); got != c.want || (err != nil) != (c.says != "" && !c.opts.AllowPartial) {
				t.Errorf("results %s, want %s; %v", got, c.want, err)
			}
			if got := plan.Items[1].Message; !strings.Contains(got, c.says) || c.says == "" && got != "" {
				t.Errorf("message %q, want %q", got, c.says)
			}
		})
	}
}

// TestPreflightAsksForTheReadBack: a role that may list and patch Services, but not read one, cannot read back what it wrote.
func TestPreflightAsksForTheReadBack(t *testing.T) {
	t.Parallel()
	var log []string
	us := newCluster(t, "us", &log, nginx(nil), true)
	us.api.PrependReactor("create", "selfsubjectaccessreviews", func(a k8stesting.Action) (bool, runtime.Object, error) {
		create, ok := a.(k8stesting.CreateAction)
		if !ok {
			return false, nil, nil
		}
		review, ok := create.GetObject().(*authv1.SelfSubjectAccessReview)
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: ok && review.Spec.ResourceAttributes.Verb != "get"}}, nil
	})
	plan := &Plan{Action: "globalize", Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), Values{"x/global": ptr.To("true")})}}
	if err := preflight(t.Context(), plan, options); !errors.Is(err, change.ErrPreflight) {
		t.Errorf("error %v", err)
	}
	if got, want := plan.Items[0].Message, "resources: [services], verbs: [get]}"; !strings.Contains(got, want) {
		t.Errorf("message %q, want %q", got, want)
	}
}

// TestPreflightOfHundreds: permission is asked for once for each namespace and verb, every Service is checked, and nothing is written.
func TestPreflightOfHundreds(t *testing.T) {
	t.Parallel()
	var reviews, dry, other atomic.Int64
	api := fake.NewClientset()
	api.PrependReactor("create", "selfsubjectaccessreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		reviews.Add(1)
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	api.PrependReactor("patch", "services", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if p, ok := a.(k8stesting.PatchActionImpl); ok && len(p.PatchOptions.DryRun) > 0 {
			dry.Add(1)
		} else {
			other.Add(1)
		}
		return true, nginx(map[string]string{"x/global": "true"}), nil
	})
	us := &clusters.Member{Name: "us", Client: api}
	plan := &Plan{Action: "globalize", Manager: "mesh-svc"}
	for n := range 300 {
		svc := nginx(nil)
		svc.Namespace, svc.Name = fmt.Sprintf("n%d", n%3), fmt.Sprintf("s%d", n)
		plan.Items = append(plan.Items, NewItem(us, svc, Values{"x/global": ptr.To("true")}))
	}
	o := options
	var told atomic.Int64
	o.Events = func(change.Event) { told.Add(1) }
	if err := preflight(t.Context(), plan, o); err != nil {
		t.Fatal(err)
	}
	if got := []int64{reviews.Load(), dry.Load(), other.Load(), told.Load()}; !slices.Equal(got, []int64{6, 300, 0, 300}) {
		t.Errorf("reviews, dry runs, writes, progress: %v", got)
	}
}

// TestInterruptedPreflight: what was not checked has not failed.
func TestInterruptedPreflight(t *testing.T) {
	t.Parallel()
	var log []string
	ctx, cancel := context.WithCancel(t.Context())
	us := newCluster(t, "us", &log, nginx(nil), true)
	us.api.PrependReactor("patch", "services", func(k8stesting.Action) (bool, runtime.Object, error) {
		cancel()
		return true, nil, context.Canceled
	})
	plan := &Plan{Manager: "mesh-svc", Items: []*Item{NewItem(us.Member, nginx(nil), Values{"x/global": ptr.To("true")})}}
	if err := preflight(ctx, plan, options); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if r := plan.Report([]*clusters.Member{us.Member}, "none"); r.Complete || results(plan) != "us:planned" || !strings.Contains(r.Changes[0].Message, "not written") {
		t.Errorf("%+v", r)
	}
}
