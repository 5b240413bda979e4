//go:build linux

package helper

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
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func TestRunning(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state corev1.ContainerState
		want  bool
		err   string
	}{
		"running":           {corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, true, ""},
		"creating":          {waiting("ContainerCreating", ""), false, ""},
		"no state":          {corev1.ContainerState{}, false, ""},
		"pull":              {waiting("ErrImagePull", "not\nfound"), false, `the image "curl" of --image cannot be pulled: ErrImagePull: not found; check its name`},
		"back off":          {waiting("ImagePullBackOff", "Back-off"), false, "cannot be pulled: ImagePullBackOff"},
		"name":              {waiting("InvalidImageName", ""), false, "cannot be pulled: InvalidImageName;"},
		"config":            {waiting("CreateContainerConfigError", "image has non-numeric user"), false, "the container cannot start: CreateContainerConfigError: image has non-numeric user"},
		"no shell, runc":    {corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: `exec: "sh": executable file not found in $PATH: unknown`}}, false, `the image "curl" of --image has no shell`},
		"no shell, waiting": {waiting("RunContainerError", `exec: "sh": executable file not found in $PATH`), false, "has no shell"},
		"ended":             {corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}, false, "the container ended with exit code 137: OOMKilled"},
	} {
		for _, kind := range []Kind{Ephemeral, Pod} {
			pod := &corev1.Pod{}
			all := []corev1.ContainerStatus{{Name: "other", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, {Name: "c", State: c.state}}
			if kind == Ephemeral {
				pod.Status.EphemeralContainerStatuses = all
			} else {
				pod.Status.ContainerStatuses = all
			}
			got, err := running(pod, "c", "curl")
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s, %s: %v, %v, want %v %q", name, kind, got, err, c.want, c.err)
			}
		}
	}
	if got, err := running(&corev1.Pod{}, "c", "curl"); got || err != nil {
		t.Errorf("without a status: %v, %v", got, err)
	}
	evicted := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "disk pressure"}}
	if _, err := running(evicted, "c", "curl"); err == nil || err.Error() != "the pod failed: Evicted: disk pressure" {
		t.Errorf("evicted: %v", err)
	}
}

func TestWaitingFor(t *testing.T) {
	t.Parallel()
	unscheduled := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"}}}}
	creating := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: waiting("ContainerCreating", "volume")}}}}
	for want, pod := range map[string]*corev1.Pod{
		"the pod is not scheduled: Unschedulable: 0/3 nodes are available": unscheduled,
		"the container waits: ContainerCreating: volume":                   creating,
		"the kubelet has not reported the container":                       {},
		"the pod could not be read":                                        nil,
	} {
		if got := waitingFor(pod, "c"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind    Kind
		message string
		want    string
	}{
		"RBAC":                   {Pod, "no permission: a Role needs x", "; to print the rules, run: kubectl mesh-probe rbac --client pod"},
		"PodSecurity, ephemeral": {Ephemeral, `is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot`, "the client pod itself violates it: use --client=pod"},
		"PodSecurity, pod":       {Pod, `is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot`, "unless admission changed it: use --client=ephemeral"},
		"quota":                  {Pod, "is forbidden: exceeded quota: q", "leaves no room for a helper pod: use --client=ephemeral"},
		"webhook":                {Ephemeral, `admission webhook "kyverno" denied the request: no`, "an admission policy of the cluster rejects it: use --client=pod"},
		"anything":               {Pod, "timeout", ""},
	} {
		got := explain(c.kind, c.message)
		if !strings.HasPrefix(got, c.message) || !strings.HasSuffix(got, c.want) && !strings.Contains(got, c.want) || c.want == "" && got != c.message {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	name := newName()
	ours := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{LabelManagedBy: Manager}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: "curl"}}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	labelOnly := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "shop", Labels: map[string]string{LabelManagedBy: Manager}}}
	nameOnly := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: newName(), Namespace: "shop"}}
	client := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "client-1", Namespace: "shop"}}
	for _, c := range []string{name, "debugger-x", "mesh-probe-client"} {
		client.Spec.EphemeralContainers = append(client.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: c, Image: "curl"}})
	}
	client.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	got, err := Find(t.Context(), fake.NewClientset(ours, labelOnly, nameOnly, client), "", time.Second)
	want := []Leftover{
		{Kind: Ephemeral, Namespace: "shop", Pod: "client-1", Container: name, Image: "curl", State: "ended"},
		{Kind: Pod, Namespace: "shop", Pod: name, Image: "curl", State: "running"},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

// TestRemove: a helper pod that cannot be deleted is reported, one that is gone is not, and nothing that was not created is touched.
func TestRemove(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset()
	var deleted []string
	api.PrependReactor("delete", "pods", func(a ktesting.Action) (bool, runtime.Object, error) {
		d, ok := a.(ktesting.DeleteActionImpl)
		if !ok {
			t.Fatalf("%T", a)
		}
		deleted = append(deleted, d.Name)
		if d.Name == "refused" {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, d.Name, errors.New("no"))
		}
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, d.Name)
	})
	s := NewSet(Config{Kind: Pod}, time.Second)
	for _, name := range []string{"refused", "gone", "planned"} {
		h := s.Add(&clusters.Member{Name: "us", Client: api}, "shop", "client")
		h.Pod, h.step = name, &step{Outcome: change.Outcome{Written: name != "planned"}}
	}
	left := s.Remove(t.Context())
	if len(left) != 1 || left[0].Helper.Pod != "refused" || !apierrors.IsForbidden(left[0].Err) || !left[0].Helper.Left || len(deleted) != 2 {
		t.Errorf("left %+v, deleted %v", left, deleted)
	}
	if again := s.Remove(t.Context()); again != nil || len(deleted) != 2 {
		t.Errorf("again: %+v, %v", again, deleted)
	}
}
