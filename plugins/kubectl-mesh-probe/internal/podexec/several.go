package podexec

import (
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
)

// Which says which pods of a workload are client pods.
type Which int

// The ways to choose client pods.
const (
	// One is the pod that kubectl exec would choose, but preferably a ready one.
	One Which = iota
	// EveryReady is every ready pod.
	EveryReady
	// OnePerNode is the oldest ready pod of each node.
	OnePerNode
)

// Found is the pods that were chosen. NotReady is how many were left out because they are not ready.
type Found struct {
	Pods     []Pod
	NotReady int
}

// FindAll returns the pods to run commands in, the oldest first.
func FindAll(ctx context.Context, client kubernetes.Interface, namespace string, ref Ref, container string, which Which) (Found, error) {
	if which == One {
		pod, err := Find(ctx, client, namespace, ref, container)
		return Found{Pods: []Pod{pod}}, err
	}
	pods, err := list(ctx, client, namespace, ref)
	if err != nil {
		return Found{}, explain(err, ref, namespace)
	}
	if _, err := choose(pods, ref, namespace); err != nil {
		return Found{}, err
	}
	chosen, notReady := several(pods, which)
	if len(chosen) == 0 {
		return Found{}, fmt.Errorf("no pod of %s in namespace %q is ready", ref, namespace)
	}
	labels := sync.OnceValue(func() map[string]string { return namespaceLabels(ctx, client, namespace) })
	out := Found{NotReady: notReady}
	for i := range chosen {
		pod, err := describe(&chosen[i], container, labels)
		if err != nil {
			return Found{}, err
		}
		out.Pods = append(out.Pods, pod)
	}
	return out, nil
}

// several returns the ready pods that are chosen, and how many are not ready. Pods that have ended, such as those of a Job, do not count.
func several(pods []corev1.Pod, which Which) (chosen []corev1.Pod, notReady int) {
	nodes := map[string]bool{}
	for _, p := range slices.SortedFunc(slices.Values(pods), better) {
		switch {
		case p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed:
		case rank(&p) != 0:
			notReady++
		case which == OnePerNode && nodes[p.Spec.NodeName]:
		default:
			nodes[p.Spec.NodeName] = true
			chosen = append(chosen, p)
		}
	}
	return chosen, notReady
}
