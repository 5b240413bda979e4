package helper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// pollEvery is how often a pod is read while something is awaited. It needs no permission to watch.
const pollEvery = 300 * time.Millisecond

// await reads a pod until done returns true or an error, or the time is over; unless it is nil, late describes what the pod was waiting for.
func await(ctx context.Context, client kubernetes.Interface, namespace, name string, limit, timeout time.Duration, done func(*corev1.Pod) (bool, error)) (last *corev1.Pod, err error) {
	deadline := time.Now().Add(limit)
	for {
		pod, err := fanout.Within(ctx, timeout, func(ctx context.Context) (*corev1.Pod, error) {
			return client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		})
		switch {
		case ctx.Err() != nil:
			return last, ctx.Err()
		case apierrors.IsNotFound(err):
			return nil, fmt.Errorf("pod %s/%s was deleted", namespace, name)
		case err == nil:
			last = pod
			if ok, err := done(pod); ok || err != nil {
				return pod, err
			}
		}
		if time.Now().After(deadline) {
			return last, errors.Join(errLate, err)
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return last, ctx.Err()
		}
	}
}

// errLate says that a time limit is over.
var errLate = errors.New("the time limit is over")

// statusOf returns the status of a container, nil before the kubelet has reported one.
func statusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	for _, all := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		if i := slices.IndexFunc(all, func(s corev1.ContainerStatus) bool { return s.Name == container }); i >= 0 {
			return &all[i]
		}
	}
	return nil
}

// pullReasons are the reasons of a kubelet for an image that cannot be had, and startReasons those for a container that cannot start. Sources:
// pkg/kubelet/images and pkg/kubelet/container of Kubernetes 1.37.
var (
	pullReasons  = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"}
	startReasons = []string{"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError", "CrashLoopBackOff"}
)

// running reports whether a container runs. An error says why it never will.
func running(pod *corev1.Pod, container, image string) (bool, error) {
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		return false, fmt.Errorf("the pod failed: %s", reason(pod.Status.Reason, pod.Status.Message))
	}
	st := statusOf(pod, container)
	switch {
	case st == nil:
		return false, nil
	case st.State.Running != nil:
		return true, nil
	case st.State.Terminated != nil:
		return false, ended(st.State.Terminated, image)
	case st.State.Waiting == nil:
		return false, nil
	}
	w := st.State.Waiting
	switch {
	case slices.Contains(pullReasons, w.Reason):
		return false, fmt.Errorf("the image %q of --image cannot be pulled: %s; check its name, and that the node may pull it (the pull secrets are those of the client pod)", image, reason(w.Reason, w.Message))
	case noShell(w.Message):
		return false, noShellError(image)
	case slices.Contains(startReasons, w.Reason):
		return false, fmt.Errorf("the container cannot start: %s", reason(w.Reason, w.Message))
	}
	return false, nil
}

// ended is the error for a container that has ended before it was used.
func ended(t *corev1.ContainerStateTerminated, image string) error {
	if noShell(t.Message) {
		return noShellError(image)
	}
	return fmt.Errorf("the container ended with exit code %d: %s", t.ExitCode, reason(t.Reason, t.Message))
}

// noShell recognizes the error of a container runtime for a missing sh.
func noShell(message string) bool {
	return strings.Contains(message, "executable file not found") || strings.Contains(message, `"sh": no such file`)
}

func noShellError(image string) error {
	return fmt.Errorf("the image %q of --image has no shell; use an image with sh, sleep, and curl or wget", image)
}

// waitingFor describes what a pod or its container waits for.
func waitingFor(pod *corev1.Pod, container string) string {
	if pod == nil {
		return "the pod could not be read"
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "the pod is not scheduled: " + reason(c.Reason, c.Message)
		}
	}
	st := statusOf(pod, container)
	switch {
	case st == nil:
		return "the kubelet has not reported the container"
	case st.State.Waiting != nil:
		return "the container waits: " + reason(st.State.Waiting.Reason, st.State.Waiting.Message)
	}
	return "the pod is " + strings.ToLower(string(pod.Status.Phase))
}

// reason joins a reason and its message.
func reason(word, message string) string {
	message = strings.Join(strings.Fields(message), " ")
	switch {
	case message == "":
		return word
	case word == "":
		return message
	}
	return word + ": " + message
}
