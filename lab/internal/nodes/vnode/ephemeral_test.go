package vnode

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/images"
)

// newEphemeral returns a worker whose pod runs, with one more container that was added to it.
func newEphemeral(t *testing.T, policy corev1.RestartPolicy, before ...corev1.ContainerStatus) (*worker, *corev1.Pod) {
	t.Helper()
	store, err := images.Open(t.Context(), "/lab")
	if err != nil {
		t.Fatal(err)
	}
	pod := newPod()
	pod.Spec.RestartPolicy = policy
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "meshlab/distroless"}}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "meshlab/distroless"}}}
	pod.Status.EphemeralContainerStatuses = before
	w := &worker{cluster: &Cluster{Config: Config{Images: store}}, node: &node{runtime: struct{ Runtime }{}}, pod: pod}
	w.begin(pod, time.Now())
	w.units[0].started(time.Now())
	w.addEphemeral(pod, time.Now())
	return w, pod
}

func TestEphemeralIsAddedOnce(t *testing.T) {
	t.Parallel()
	w, pod := newEphemeral(t, corev1.RestartPolicyAlways)
	w.addEphemeral(pod, time.Now())
	if len(w.units) != 2 || !w.units[1].ephemeral || w.units[1].state.Waiting == nil {
		t.Fatalf("%+v", w.units)
	}
	st := w.status(pod)
	if len(st.ContainerStatuses) != 1 || len(st.EphemeralContainerStatuses) != 1 || st.EphemeralContainerStatuses[0].Name != "debug" {
		t.Errorf("%+v", st)
	}
}

// TestEphemeralCountsForNothing: whatever it does, the pod is as ready and in the same phase as without it.
func TestEphemeralCountsForNothing(t *testing.T) {
	t.Parallel()
	for _, policy := range []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyNever} {
		w, pod := newEphemeral(t, policy)
		u := w.units[1]
		for _, change := range []func(){func() {}, func() { u.started(time.Now()) }, func() { u.ended(3, "", "", time.Now()) }} {
			change()
			st := w.status(pod)
			ready := ""
			for _, c := range st.Conditions {
				if c.Type == corev1.PodReady {
					ready = string(c.Status)
				}
			}
			if st.Phase != corev1.PodRunning || ready != "True" {
				t.Errorf("%s, %+v: %s, ready %s", policy, u.state, st.Phase, ready)
			}
		}
		if u.mayRestart(policy) {
			t.Errorf("%s: it would be restarted", policy)
		}
	}
}

// TestEphemeralOfAnEarlierLife: a container that ran when the lab was stopped does not start again.
func TestEphemeralOfAnEarlierLife(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state corev1.ContainerState
		want  string
	}{
		"ran":   {corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, "ContainerStatusUnknown"},
		"ended": {corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}, "Completed"},
	} {
		w, _ := newEphemeral(t, corev1.RestartPolicyAlways, corev1.ContainerStatus{Name: "debug", State: c.state})
		u := w.units[1]
		if u.state.Terminated == nil || u.state.Terminated.Reason != c.want || u.mayRestart(corev1.RestartPolicyAlways) {
			t.Errorf("%s: %+v", name, u.state)
		}
	}
}

func TestActiveDeadline(t *testing.T) {
	t.Parallel()
	w, pod := newEphemeral(t, corev1.RestartPolicyNever)
	now := w.started.Time
	if got := w.checkDeadline(t.Context(), pod, now.Add(time.Hour)); got != idle || w.expired {
		t.Errorf("without a deadline: %s, %v", got, w.expired)
	}
	pod.Spec.ActiveDeadlineSeconds = ptr.To(int64(60))
	if got := w.checkDeadline(t.Context(), pod, now.Add(50*time.Second)); got != 10*time.Second || w.expired {
		t.Errorf("before it: %s, %v", got, w.expired)
	}
	w.checkDeadline(t.Context(), pod, now.Add(time.Minute))
	st := w.status(pod)
	if d := cmp.Diff([]string{"Failed", "DeadlineExceeded"}, []string{string(st.Phase), st.Reason}); !w.expired || d != "" {
		t.Errorf("after it: %v %s", w.expired, d)
	}
}

// TestDeadlineOfAnEndedPod: a pod that ended in time has not failed.
func TestDeadlineOfAnEndedPod(t *testing.T) {
	t.Parallel()
	w, pod := newEphemeral(t, corev1.RestartPolicyNever)
	pod.Spec.ActiveDeadlineSeconds = ptr.To(int64(60))
	w.units[0].ended(0, "", "", time.Now())
	w.checkDeadline(t.Context(), pod, w.started.Add(time.Hour))
	if st := w.status(pod); st.Phase != corev1.PodSucceeded || w.expired {
		t.Errorf("%s, %v", st.Phase, w.expired)
	}
}

// TestEphemeralIsNotOnThisMachinesNetwork: a pod with hostNetwork gets no process in the light lab, and no way to one.
func TestEphemeralIsNotOnThisMachinesNetwork(t *testing.T) {
	t.Parallel()
	w, pod := newEphemeral(t, corev1.RestartPolicyAlways)
	pod.Spec.HostNetwork = true
	pod.Spec.EphemeralContainers[0].Name = "another"
	w.addEphemeral(pod, time.Now())
	u := w.units[2]
	if u.state.Waiting == nil || u.state.Waiting.Reason != "CreateContainerConfigError" || !time.Now().Before(u.retryAt) {
		t.Errorf("%+v", u.state)
	}
	if wait := w.drive(t.Context(), pod, u, metav1.Now().Time); wait <= 0 {
		t.Errorf("it is started")
	}
}
