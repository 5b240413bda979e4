package change_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// step writes a ConfigMap in a fake cluster, and notes that it did.
type step struct {
	change.Outcome

	m      *clusters.Member
	name   string
	log    *[]string
	serves change.Step
	fails  error
	slow   time.Duration
}

func newStep(m *clusters.Member, name string, log *[]string) *step {
	s := &step{m: m, name: name, log: log}
	s.Result = v1alpha1.ResultPlanned
	return s
}

func (s *step) Target() change.Target {
	return change.Target{Member: s.m, Kind: change.ConfigMap, Namespace: "kube-system", Name: s.name}
}

func (s *step) Permissions() []permissions.Permission {
	return []permissions.Permission{{Verb: "create", Resource: "configmaps", Namespace: "kube-system"}}
}

func (s *step) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	what := s.m.Name + " " + s.name
	if dryRun {
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return nil, nil //nolint:nilnil // there is nothing to compare
	}
	*s.log = append(*s.log, what)
	if s.fails != nil {
		return nil, s.fails
	}
	return s.Target().Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: "kube-system"}}, "test", false)
}

func (s *step) Diff(metav1.Object) *change.Difference { return nil }

// part is a step that serves another one.
type part struct{ *step }

func (p *part) Serves() change.Step { return p.serves }

func member(name string, allowed bool) *clusters.Member {
	api := fake.NewClientset()
	api.PrependReactor("create", "selfsubjectaccessreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: allowed}}, nil
	})
	return &clusters.Member{Name: name, Context: "kind-" + name, Client: api}
}

var options = change.Options{Timeout: time.Minute}

// TestPhases: a phase begins when the one before has ended in all clusters, and a gate is asked between them.
func TestPhases(t *testing.T) {
	t.Parallel()
	var log []string
	us, eu := member("us", true), member("eu", true)
	p := &change.Plan{Action: "test", Phases: []*change.Phase{
		{Steps: []change.Step{newStep(us, "a", &log), newStep(eu, "a", &log)}},
		{Gate: func(context.Context) error { log = append(log, "gate"); return nil }, Before: func(_ context.Context, s change.Step) error {
			log = append(log, "before "+s.Target().Member.Name)
			return nil
		}, Steps: []change.Step{newStep(us, "b", &log), newStep(eu, "b", &log)}},
		{Cleanup: true, Steps: []change.Step{newStep(us, "cleanup", &log)}},
	}}
	if err := errors.Join(p.Preflight(t.Context(), options), p.Apply(t.Context(), options)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"us a", "eu a", "gate", "before us", "us b", "before eu", "eu b", "us cleanup"}; !slices.Equal(log, want) {
		t.Errorf("%q, want %q", log, want)
	}
}

// cutting is a step during which the command is interrupted.
type cutting struct {
	*step

	interrupt func()
}

func (c *cutting) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	if !dryRun {
		c.interrupt()
	}
	return c.step.Send(ctx, dryRun)
}

// TestFinishing: "waiting for the outcome" is reported before the outcome.
func TestFinishing(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	var log []string
	p := &change.Plan{Action: "test", Phases: []*change.Phase{{Steps: []change.Step{&cutting{newStep(member("us", true), "a", &log), interrupt}}}}}
	var mu sync.Mutex
	var said []change.EventKind
	o := options
	o.Events = func(e change.Event) {
		if e.Kind == change.Finishing {
			time.Sleep(50 * time.Millisecond) // whoever prints may be slow
		}
		mu.Lock()
		defer mu.Unlock()
		said = append(said, e.Kind)
	}
	if err := p.Apply(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []change.EventKind{change.Begun, change.Finishing, change.Ended}; !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
}

// refused is a step whose dry run fails.
type refused struct {
	*step

	why string
}

func (r *refused) Send(context.Context, bool) (metav1.Object, error) {
	time.Sleep(r.slow)
	return nil, errors.New(r.why)
}

// refusedPart is one that serves another.
type refusedPart struct{ *refused }

func (r *refusedPart) Serves() change.Step { return r.serves }

// TestOwnReason: where a step and its backup both fail the preflight, the step says its own reason.
func TestOwnReason(t *testing.T) {
	t.Parallel()
	var log []string
	us := member("us", true)
	head := &refused{newStep(us, "a", &log), "the CA is refused"}
	backup := &refusedPart{&refused{newStep(us, "b", &log), "the backup is refused"}}
	backup.serves, head.slow = head, 50*time.Millisecond // the backup's answer comes first
	p := &change.Plan{Action: "test", Phases: []*change.Phase{{Steps: []change.Step{backup}}, {Steps: []change.Step{head}}}}
	if err := p.Preflight(t.Context(), options); !errors.Is(err, change.ErrPreflight) {
		t.Errorf("error %v", err)
	}
	if got := head.Status(); got.Result != v1alpha1.ResultFailed || !strings.Contains(got.Message, head.why) {
		t.Errorf("%s: %s", got.Result, got.Message)
	}
	if got := backup.Status(); got.Result != v1alpha1.ResultPlanned {
		t.Errorf("the backup: %s: %s", got.Result, got.Message)
	}
}

// TestCleanup runs after a gate that says no, after a failure and after an interrupt; what fails in it is a note of the step that it serves.
func TestCleanup(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		gate  error
		fails error
		stop  bool
		want  []string
	}{
		"a gate that says no": {gate: errors.New("no"), want: []string{"us lock", "us cleanup"}},
		"a failure":           {fails: apierrors.NewBadRequest("no"), want: []string{"us lock", "us write", "us cleanup"}},
		"an interrupt":        {stop: true, want: []string{"us lock", "us cleanup"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log []string
			us := member("us", true)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			write := newStep(us, "write", &log)
			write.fails = c.fails
			lock, cleanup := &part{newStep(us, "lock", &log)}, &part{newStep(us, "cleanup", &log)}
			lock.serves, cleanup.serves, cleanup.fails = write, write, errors.New("still locked")
			p := &change.Plan{Action: "test", Phases: []*change.Phase{
				{Steps: []change.Step{lock}},
				{Steps: []change.Step{write}, Gate: func(context.Context) error {
					if c.stop {
						cancel()
					}
					return c.gate
				}},
				{Cleanup: true, Steps: []change.Step{cleanup}},
			}}
			if err := p.Apply(ctx, options); err == nil {
				t.Error("no error")
			}
			if !slices.Equal(log, c.want) {
				t.Errorf("%q, want %q", log, c.want)
			}
			if !strings.Contains(write.Message, "still locked") {
				t.Errorf("message %q", write.Message)
			}
		})
	}
}

// TestParts: a step whose part fails is not sent, and a part of a settled step is not sent either.
func TestParts(t *testing.T) {
	t.Parallel()
	var log []string
	us := member("us", true)
	write := newStep(us, "write", &log)
	backup := &part{newStep(us, "backup", &log)}
	backup.serves, backup.fails = write, apierrors.NewForbidden(corev1.Resource("configmaps"), "backup", errors.New("policy"))
	p := &change.Plan{Action: "test", Phases: []*change.Phase{{Steps: []change.Step{backup}}, {Steps: []change.Step{write}}}}
	if err := p.Apply(t.Context(), options); err == nil || backup.Result != v1alpha1.ResultFailed || write.Result != v1alpha1.ResultFailed || len(log) != 1 {
		t.Errorf("%v, backup %s, write %s, %q", err, backup.Result, write.Result, log)
	}
	log = nil
	refused := newStep(us, "write", &log)
	refused.Result = v1alpha1.ResultRefused
	idle := &part{newStep(us, "backup", &log)}
	idle.serves = refused
	p = &change.Plan{Action: "test", Phases: []*change.Phase{{Steps: []change.Step{idle}}, {Steps: []change.Step{refused}}}}
	if err := p.Apply(t.Context(), options); err != nil || len(log) != 0 {
		t.Errorf("%v, %q", err, log)
	}
}

// TestPreflightDeadline is for each request: many slow requests are not one slow cluster.
func TestPreflightDeadline(t *testing.T) {
	t.Parallel()
	var log []string
	us := member("us", true)
	phase := &change.Phase{}
	for n := range 40 { // more than are sent at once
		s := newStep(us, fmt.Sprint(n), &log)
		s.slow = 200 * time.Millisecond
		phase.Steps = append(phase.Steps, s)
	}
	p := &change.Plan{Action: "test", Phases: []*change.Phase{phase}}
	if err := p.Preflight(t.Context(), change.Options{Timeout: 500 * time.Millisecond}); err != nil {
		t.Error(err, phase.Steps[39].Status().Message)
	}
	late := newStep(us, "late", &log)
	late.slow = time.Minute
	p = &change.Plan{Action: "test", Phases: []*change.Phase{{Steps: []change.Step{late}}}}
	if err := p.Preflight(t.Context(), change.Options{Timeout: 100 * time.Millisecond}); !errors.Is(err, change.ErrPreflight) || !strings.Contains(late.Message, "(--cluster-timeout)") {
		t.Errorf("%v, %q", err, late.Message)
	}
}

// TestMissingPermissions are asked for once, and all are named.
func TestMissingPermissions(t *testing.T) {
	t.Parallel()
	var log []string
	us, eu := member("us", true), member("eu", false)
	one, two, other := newStep(us, "a", &log), newStep(us, "b", &log), newStep(eu, "a", &log)
	p := &change.Plan{Action: "test", Phases: []*change.Phase{{Steps: []change.Step{one, two, other}}}}
	if err := p.Preflight(t.Context(), options); !errors.Is(err, change.ErrPreflight) {
		t.Fatal(err)
	}
	const want = `no permission: a Role in namespace kube-system needs {apiGroups: [""], resources: [configmaps], verbs: [create]}`
	if other.Message != want || one.Result != v1alpha1.ResultPlanned || !one.Skipped {
		t.Errorf("%q; us: %s, skipped %v", other.Message, one.Result, one.Skipped)
	}
	if err := p.Apply(t.Context(), options); err != nil && len(log) > 0 {
		t.Errorf("%v, %q", err, log)
	}
}
