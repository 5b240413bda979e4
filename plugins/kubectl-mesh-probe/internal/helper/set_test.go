//go:build linux

package helper

import (
	"context"
	"encoding/json"
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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// cluster is a fake API server with a kubelet that starts the command of every helper as a process of this machine.
type cluster struct {
	*clusters.Member
	api *fake.Clientset

	mu      sync.Mutex
	ended   []<-chan int
	dryRuns int
	created []string
}

// kubelet says what becomes of a helper: "runs", "pends", or the reason of a container that waits.
func newCluster(t *testing.T, name, kubelet string, refuse error, objects ...runtime.Object) *cluster {
	t.Helper()
	c := &cluster{api: fake.NewClientset(append(objects, clientPod())...)}
	c.Member = &clusters.Member{Name: name, Client: c.api}
	c.api.PrependReactor("create", "selfsubjectaccessreviews", func(ktesting.Action) (bool, runtime.Object, error) {
		return true, &authv1.SelfSubjectAccessReview{Status: authv1.SubjectAccessReviewStatus{Allowed: true}}, nil
	})
	c.api.PrependReactor("create", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
		action, ok := a.(ktesting.CreateActionImpl)
		if !ok {
			t.Fatalf("%T", a)
		}
		pod, ok := action.Object.(*corev1.Pod)
		if !ok {
			t.Fatalf("%T", action.Object)
		}
		return c.accept(t, action.CreateOptions.DryRun, refuse, pod.Name, func() runtime.Object {
			pod.UID = "helper"
			pod.Status.ContainerStatuses = c.start(t, kubelet, pod.Spec.Containers[0])
			if err := c.api.Tracker().Add(pod); err != nil {
				t.Error(err)
			}
			return pod
		}, pod)
	})
	c.api.PrependReactor("patch", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
		action, ok := a.(ktesting.PatchActionImpl)
		if !ok || action.Subresource != "ephemeralcontainers" {
			t.Fatalf("%T %s", a, action.Subresource)
		}
		pod := clientPod()
		patch := struct{ Spec corev1.PodSpec }{}
		if err := json.Unmarshal(action.Patch, &patch); err != nil {
			t.Fatal(err)
		}
		pod.Spec.EphemeralContainers = patch.Spec.EphemeralContainers
		e := pod.Spec.EphemeralContainers[0]
		return c.accept(t, action.PatchOptions.DryRun, refuse, e.Name, func() runtime.Object {
			pod.Status.EphemeralContainerStatuses = c.start(t, kubelet, corev1.Container(e.EphemeralContainerCommon))
			if err := c.api.Tracker().Update(schema.GroupVersionResource{Version: "v1", Resource: "pods"}, pod, pod.Namespace); err != nil {
				t.Error(err)
			}
			return pod
		}, pod)
	})
	return c
}

// accept counts a write, and stores it unless it is a dry run or refused.
func (c *cluster) accept(t *testing.T, dryRun []string, refuse error, name string, store func() runtime.Object, as runtime.Object) (bool, runtime.Object, error) {
	t.Helper()
	if refuse != nil {
		return true, nil, refuse
	}
	if len(dryRun) > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.dryRuns++
		return true, as, nil
	}
	c.mu.Lock()
	c.created = append(c.created, name)
	c.mu.Unlock()
	return true, store(), nil
}

// start is what a kubelet does with a container.
func (c *cluster) start(t *testing.T, kubelet string, spec corev1.Container) []corev1.ContainerStatus {
	t.Helper()
	st := corev1.ContainerStatus{Name: spec.Name, State: waiting(kubelet, "no")}
	if kubelet == "runs" {
		_, ended := process(t, "dash", spec.Command)
		c.mu.Lock()
		c.ended = append(c.ended, ended)
		c.mu.Unlock()
		st.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	}
	return []corev1.ContainerStatus{st}
}

func newSet(t *testing.T, cfg Config) *Set {
	t.Helper()
	cfg.Image, cfg.Lifetime = "curl", time.Hour
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = watchdog
	}
	s := NewSet(cfg, time.Second)
	s.open = func(*Helper) Exec { return local(t, "dash") }
	return s
}

func (c *cluster) pods(t *testing.T) int {
	t.Helper()
	list, err := c.api.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

// TestSet: helpers of both kinds are checked, created, kept alive and ended; a helper pod is removed.
func TestSet(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Ephemeral, Pod} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "us", "runs", nil)
			s := newSet(t, Config{Kind: kind})
			h := s.Add(c.Member, "shop", "client-1")
			if err := s.Start(t.Context()); err != nil || h.Err != nil {
				t.Fatal(err, h.Err)
			}
			if c.dryRuns != 1 || len(c.created) != 1 || h.Object == nil {
				t.Errorf("%d dry runs, created %v", c.dryRuns, c.created)
			}
			left := s.Remove(t.Context())
			await0(t, c.ended[0])
			if n := c.pods(t); n != 1 {
				t.Errorf("%d pods are left", n)
			}
			// The fake kubelet does not notice the end, so that the container counts as running.
			if kind == Pod && left != nil || kind == Ephemeral && (len(left) != 1 || left[0].State != stateRunning || left[0].Err != nil) {
				t.Errorf("left: %+v", left)
			}
		})
	}
}

// TestSetRefused: nothing is created where a dry run is refused, and another cluster's helper runs.
func TestSetRefused(t *testing.T) {
	t.Parallel()
	refuse := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New(`violates PodSecurity "restricted:latest": no`))
	us, eu := newCluster(t, "us", "runs", nil), newCluster(t, "eu", "runs", refuse)
	s := newSet(t, Config{Kind: Pod})
	good, bad := s.Add(us.Member, "shop", "client-1"), s.Add(eu.Member, "shop", "client-1")
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if good.Err != nil || bad.Err == nil || !strings.Contains(bad.Err.Error(), "unless admission changed it") || bad.Exists() || len(eu.created) != 0 {
		t.Errorf("%v, %v, created %v", good.Err, bad.Err, eu.created)
	}
	if left := s.Remove(t.Context()); left != nil {
		t.Errorf("%+v", left)
	}
}

// TestSetDoesNotRun: a helper pod that cannot run is removed, for whatever reason.
func TestSetDoesNotRun(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{"ErrImagePull": "cannot be pulled", "CreateContainerConfigError": "cannot start", "ContainerCreating": "did not run within 1s (--start-timeout): the container waits: ContainerCreating: no"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, "us", reason, nil)
			s := newSet(t, Config{Kind: Pod, StartTimeout: time.Second})
			h := s.Add(c.Member, "shop", "client-1")
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if h.Err == nil || !strings.Contains(h.Err.Error(), want) || !strings.HasPrefix(h.Err.Error(), fmt.Sprint(h)) {
				t.Errorf("error %v, want %q", h.Err, want)
			}
			if left := s.Remove(t.Context()); left != nil || c.pods(t) != 1 {
				t.Errorf("left %+v, %d pods", left, c.pods(t))
			}
		})
	}
}

// TestSetInterrupted: a helper pod is removed although the command was interrupted while it waited for it.
func TestSetInterrupted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "us", "ContainerCreating", nil)
	s := newSet(t, Config{Kind: Pod})
	s.Add(c.Member, "shop", "client-1")
	ctx, interrupt := context.WithTimeout(t.Context(), 5*time.Second)
	defer interrupt()
	if err := s.Start(ctx); !errors.Is(err, context.DeadlineExceeded) || len(c.created) != 1 {
		t.Fatalf("%v, created %v", err, c.created)
	}
	if left := s.Remove(ctx); left != nil || c.pods(t) != 1 {
		t.Errorf("left %+v, %d pods", left, c.pods(t))
	}
}

// TestSetSelected: with copied labels nothing is created while a Service selects them, and its error names the permission if Services cannot be listed.
func TestSetSelected(t *testing.T) {
	t.Parallel()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "client"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "client"}}}
	other := svc.DeepCopy()
	other.Name, other.Spec.Selector = "web", map[string]string{"app": "web"}
	for name, c := range map[string]struct {
		cluster *cluster
		want    string
	}{
		"selected":  {newCluster(t, "us", "runs", nil, svc), "service client (app=client) would send requests to it"},
		"not":       {newCluster(t, "us", "runs", nil, other), ""},
		"forbidden": {newCluster(t, "us", "runs", nil), "no permission: a Role in namespace shop needs"},
	} {
		if name == "forbidden" {
			c.cluster.api.PrependReactor("list", "services", func(ktesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New("no"))
			})
		}
		s := newSet(t, Config{Kind: Pod, CopyLabels: true})
		h := s.Add(c.cluster.Member, "shop", "client-1")
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if (h.Err == nil) != (c.want == "") || h.Err != nil && !strings.Contains(h.Err.Error(), c.want) || h.Exists() != (c.want == "") {
			t.Errorf("%s: %v, exists %v", name, h.Err, h.Exists())
		}
		s.Remove(t.Context())
	}
}

// TestStepsAskForTheReadBack: what is written is read back, which is a permission of its own.
func TestStepsAskForTheReadBack(t *testing.T) {
	t.Parallel()
	m, pod := &clusters.Member{Name: "us"}, clientPod()
	for name, s := range map[string]change.Step{
		"a helper pod": create(m, pod), "an ephemeral container": add(m, pod, corev1.EphemeralContainer{}), "a removal": Remove(m, Leftover{Namespace: pod.Namespace, Pod: pod.Name}),
	} {
		if !slices.ContainsFunc(s.Permissions(), func(p permissions.Permission) bool { return p.Resource == "pods" && p.Verb == "get" }) {
			t.Errorf("%s: %+v", name, s.Permissions())
		}
	}
}
