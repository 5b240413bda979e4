package helper

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// Leftover is what a run has left in a cluster.
type Leftover struct {
	Kind      Kind
	Namespace string
	Pod       string
	Container string // of an ephemeral container
	Image     string
	UID       types.UID
	Started   time.Time // when a helper pod was created, or an ephemeral container started; zero if it has not
	// State is running, waiting, ended or terminating.
	State string
}

// String names it as messages do.
func (l Leftover) String() string { return l.Kind.Describe(l.Namespace, l.Pod, l.Container) }

// pageSize is how many pods are read at a time.
const pageSize = 500

// Find returns what runs have left in a namespace, or in all if it is "". A run that has not ended has left it too.
func Find(ctx context.Context, client kubernetes.Interface, namespace string, timeout time.Duration) ([]Leftover, error) {
	var out []Leftover
	o := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := fanout.Within(ctx, timeout, func(ctx context.Context) (*corev1.PodList, error) {
			return client.CoreV1().Pods(namespace).List(ctx, o)
		})
		if err != nil {
			return nil, fmt.Errorf("list pods: %w", err)
		}
		for i := range page.Items {
			out = append(out, leftovers(&page.Items[i])...)
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return out, nil
		}
	}
}

// leftovers returns what of a pod is ours: the pod itself, or ephemeral containers in it. The label alone is not enough, since anyone can copy it.
func leftovers(pod *corev1.Pod) []Leftover {
	base := Leftover{Namespace: pod.Namespace, Pod: pod.Name, UID: pod.UID}
	if pod.Labels[LabelManagedBy] == Manager && isHelper(pod.Name) {
		base.Kind, base.Started, base.State = Pod, pod.CreationTimestamp.Time, podState(pod)
		if len(pod.Spec.Containers) > 0 {
			base.Image = pod.Spec.Containers[0].Image
		}
		return []Leftover{base}
	}
	var out []Leftover
	for _, c := range pod.Spec.EphemeralContainers {
		if !isHelper(c.Name) {
			continue
		}
		l := base
		l.Kind, l.Container, l.Image, l.State = Ephemeral, c.Name, c.Image, containerState(pod, c.Name)
		if st := statusOf(pod, c.Name); st != nil && st.State.Running != nil {
			l.Started = st.State.Running.StartedAt.Time
		} else if st != nil && st.State.Terminated != nil {
			l.Started = st.State.Terminated.StartedAt.Time
		}
		out = append(out, l)
	}
	return out
}

// The states of what is left.
const (
	stateWaiting     = "waiting"
	stateRunning     = "running"
	stateEnded       = "ended"
	stateTerminating = "terminating"
)

func containerState(pod *corev1.Pod, container string) string {
	st := statusOf(pod, container)
	switch {
	case st == nil:
		return stateWaiting
	case st.State.Running != nil:
		return stateRunning
	case st.State.Terminated != nil:
		return stateEnded
	}
	return stateWaiting
}

func podState(pod *corev1.Pod) string {
	switch {
	case pod.DeletionTimestamp != nil:
		return stateTerminating
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return stateEnded
	case pod.Status.Phase == corev1.PodRunning:
		return stateRunning
	}
	return stateWaiting
}
