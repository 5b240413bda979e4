package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/podstream"
)

// Helper is what sends the requests for one client pod.
type Helper struct {
	Member    *clusters.Member
	Kind      Kind
	Namespace string
	// Client is the name of the client pod. Pod and Container are where commands run.
	Client, Pod, Container string
	// Ends is when it ends in any case.
	Ends time.Time
	// Object is the pod as it was read when the helper ran.
	Object *corev1.Pod
	// Err says why it does not run. Other helpers may run.
	Err error
	// Left says that it is still listed in the cluster after Remove.
	Left bool

	step    *step
	uid     types.UID
	keeper  *keeper
	removed bool
}

// String names it as messages do.
func (h *Helper) String() string { return h.Kind.Describe(h.Namespace, h.Pod, h.Container) }

// Exists reports whether it was created, or may have been.
func (h *Helper) Exists() bool { return h.step != nil && h.step.Written }

// Set is the helpers of one run.
type Set struct {
	Helpers []*Helper

	cfg     Config
	timeout time.Duration // of each request
	open    func(*Helper) Exec
}

// NewSet returns the helpers of a run, none of which exists yet.
func NewSet(cfg Config, timeout time.Duration) *Set {
	return &Set{cfg: cfg, timeout: timeout, open: (*Helper).exec}
}

// Add adds the helper for a client pod.
func (s *Set) Add(m *clusters.Member, namespace, client string) *Helper {
	h := &Helper{Member: m, Kind: s.cfg.Kind, Namespace: namespace, Client: client, Pod: newName(), Container: containerName}
	if s.cfg.Kind == Ephemeral {
		h.Pod, h.Container = client, h.Pod
	}
	s.Helpers = append(s.Helpers, h)
	return h
}

// Start checks all helpers in their clusters, creates them, and waits until they run. A helper that does not run has an error. Whatever happens,
// Remove must be called.
func (s *Set) Start(ctx context.Context) error {
	s.each(func(h *Helper) { h.Err = s.plan(ctx, h) })
	plan := &change.Plan{Action: "create", Phases: []*change.Phase{{}}}
	for _, h := range s.Helpers {
		if h.Err == nil {
			plan.Phases[0].Steps = append(plan.Phases[0].Steps, h.step)
		}
	}
	o := change.Options{Timeout: s.timeout, AllowPartial: true}
	if err := plan.Preflight(ctx, o); err == nil {
		s.explain()
		_ = plan.Apply(ctx, o) // the steps have the reason
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.explain()
	s.each(func(h *Helper) {
		if h.Err == nil {
			h.Err = s.begin(ctx, h)
		}
	})
	return ctx.Err()
}

// each calls do for all helpers at once.
func (s *Set) each(do func(*Helper)) {
	var wg sync.WaitGroup
	for _, h := range s.Helpers {
		wg.Go(func() { do(h) })
	}
	wg.Wait()
}

// plan reads the client pod and makes the step that creates the helper.
func (s *Set) plan(ctx context.Context, h *Helper) error {
	client, err := fanout.Within(ctx, s.timeout, func(ctx context.Context) (*corev1.Pod, error) {
		return h.Member.Client.CoreV1().Pods(h.Namespace).Get(ctx, h.Client, metav1.GetOptions{})
	})
	if err != nil {
		return fmt.Errorf("read pod %s/%s: %w", h.Namespace, h.Client, err)
	}
	if h.Kind == Ephemeral {
		h.step = add(h.Member, client, ephemeralContainer(s.cfg, h.Container))
		return nil
	}
	if s.cfg.CopyLabels {
		all, err := selectors(ctx, h.Member.Client, h.Namespace, s.timeout)
		if err != nil {
			return err
		}
		if err := conflict(client.Labels, all); err != nil {
			return err
		}
	}
	h.step = create(h.Member, newPod(client, s.cfg, h.Pod))
	return nil
}

// explain gives the helpers whose steps did not end well the reason.
func (s *Set) explain() {
	for _, h := range s.Helpers {
		if h.Err != nil || h.step == nil {
			continue
		}
		switch h.step.Result {
		case v1alpha1.ResultChanged:
		case v1alpha1.ResultPlanned:
			if h.step.Skipped {
				h.Err = errors.New("it was not created, because another one could not be created")
			}
		default:
			h.Err = fmt.Errorf("%s: %s", h, explain(h.Kind, h.step.Message))
		}
	}
}

// begin waits until the helper runs, and gives it signs of life.
func (s *Set) begin(ctx context.Context, h *Helper) error {
	h.Ends = time.Now().Add(s.cfg.Lifetime)
	pod, err := await(ctx, h.Member.Client, h.Namespace, h.Pod, s.cfg.StartTimeout, s.timeout, func(pod *corev1.Pod) (bool, error) {
		h.uid = pod.UID
		return running(pod, h.Container, s.cfg.Image)
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errLate):
		return fmt.Errorf("%s did not run within %s (--start-timeout): %s", h, s.cfg.StartTimeout, waitingFor(pod, h.Container))
	case err != nil:
		return fmt.Errorf("%s: %w", h, err)
	}
	h.Object = pod
	marker := h.Pod
	if h.Kind == Ephemeral {
		marker = h.Container
	}
	if h.keeper, err = startKeeper(ctx, s.open(h), marker); err != nil {
		return fmt.Errorf("%s: keep it alive: %w", h, err)
	}
	return nil
}

// exec runs commands in the helper.
func (h *Helper) exec() Exec {
	api := podstream.New(h.Member.REST, h.Member.Client)
	to := podstream.Container{Namespace: h.Namespace, Pod: h.Pod, Name: h.Container}
	return func(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
		return api.Exec(ctx, to, command, podstream.Streams{Stdin: stdin, Stdout: stdout, Stderr: stderr})
	}
}

// Left is a helper that is still there, and why.
type Left struct {
	Helper *Helper
	// Err says why a helper pod could not be removed. It is nil for an ephemeral container, which Kubernetes cannot remove.
	Err error
	// State is that of an ephemeral container: ended, running or waiting.
	State string
}

// endTimeout is how long the process of an ephemeral container may take to end.
const endTimeout = 10 * time.Second

// Remove ends all helpers, deletes the helper pods, and returns what is left. It works also after an interrupt: each request has its own time
// limit. What was removed is not removed again.
func (s *Set) Remove(ctx context.Context) []Left {
	ctx = context.WithoutCancel(ctx)
	var mu sync.Mutex
	var out []Left
	s.each(func(h *Helper) {
		if !h.Exists() || h.removed {
			return
		}
		h.removed = true
		if h.keeper != nil {
			h.keeper.stop()
		}
		left := Left{Helper: h}
		switch h.Kind {
		case Ephemeral:
			left.State = s.awaitEnd(ctx, h)
		case Pod:
			if left.Err = s.delete(ctx, h); left.Err == nil {
				return
			}
		}
		h.Left = true
		mu.Lock()
		defer mu.Unlock()
		out = append(out, left)
	})
	return out
}

// awaitEnd waits until an ephemeral container has ended, and returns its state. One without a keeper ends because it gets no signs of life, which takes
// longer than anyone waits.
func (s *Set) awaitEnd(ctx context.Context, h *Helper) string {
	limit := endTimeout
	if h.keeper == nil {
		limit = 0
	}
	state := stateWaiting
	_, err := await(ctx, h.Member.Client, h.Namespace, h.Pod, limit, s.timeout, func(pod *corev1.Pod) (bool, error) {
		state = containerState(pod, h.Container)
		return state == stateEnded, nil
	})
	if err != nil && !errors.Is(err, errLate) {
		return stateEnded // with its pod
	}
	return state
}

// delete deletes a helper pod, and no other pod of its name.
func (s *Set) delete(ctx context.Context, h *Helper) error {
	err := fanout.Do(ctx, s.timeout, func(ctx context.Context) error {
		o := metav1.DeleteOptions{}
		if h.uid != "" {
			o.Preconditions = &metav1.Preconditions{UID: &h.uid}
		}
		return h.Member.Client.CoreV1().Pods(h.Namespace).Delete(ctx, h.Pod, o)
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) && h.uid != "" {
		return nil
	}
	return err
}
