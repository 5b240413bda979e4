package vnode

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// retryBinding is how long a pod that fits nowhere waits for the next try.
const retryBinding = 2 * time.Second

// load counts what runs where.
type load struct {
	owner int // pods of the same owner
	total int
}

// pickNode chooses a node for a pod: of those that the pod allows the one with the fewest
// pods of the same owner, then with the fewest pods, then the first. It stands for the
// scheduler, which the lab has not got. It returns nil when no node fits.
func pickNode(pod *corev1.Pod, nodes []*corev1.Node, loads map[string]load) *corev1.Node {
	want := nodeaffinity.GetRequiredNodeAffinity(pod)
	var fit []*corev1.Node
	for _, n := range nodes {
		// An expression that does not parse fits nowhere, as with the scheduler.
		if ok, err := want.Match(n); err != nil || !ok || n.Spec.Unschedulable && !daemon(pod) || !tolerates(pod, n) {
			continue
		}
		fit = append(fit, n)
	}
	if len(fit) == 0 {
		return nil
	}
	return slices.MinFunc(fit, func(a, b *corev1.Node) int {
		return cmp.Or(
			cmp.Compare(loads[a.Name].owner, loads[b.Name].owner),
			cmp.Compare(loads[a.Name].total, loads[b.Name].total),
			cmp.Compare(a.Name, b.Name))
	})
}

// daemon reports whether a DaemonSet owns the pod; its pods run on cordoned nodes too.
func daemon(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind == "DaemonSet"
}

// tolerates reports whether the pod may run on the node despite its taints.
func tolerates(pod *corev1.Pod, n *corev1.Node) bool {
	for _, taint := range n.Spec.Taints {
		// Nothing in the lab writes these two; who cordons a node sets spec.unschedulable as well.
		if taint.Effect == corev1.TaintEffectPreferNoSchedule || taint.Key == corev1.TaintNodeUnschedulable {
			continue
		}
		if !slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return matches(t, taint) }) {
			return false
		}
	}
	return true
}

func matches(t corev1.Toleration, taint corev1.Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
		return false
	}
	return t.Operator == corev1.TolerationOpExists || t.Key != "" && t.Value == taint.Value
}

// binder binds the pods of one cluster that have no node.
type binder struct {
	cluster *Cluster

	mu      sync.Mutex
	bound   map[types.UID]assignment
	waiting map[types.UID]*corev1.Pod
	wake    chan struct{}
}

type assignment struct {
	node  string
	owner types.UID
}

func newBinder(c *Cluster) *binder {
	return &binder{cluster: c, bound: map[types.UID]assignment{}, waiting: map[types.UID]*corev1.Pod{}, wake: make(chan struct{}, 1)}
}

// observe takes note of a pod as the API server has it.
func (b *binder) observe(pod *corev1.Pod) {
	b.mu.Lock()
	defer b.mu.Unlock()
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	switch {
	case finished:
		delete(b.bound, pod.UID)
		delete(b.waiting, pod.UID)
	case pod.Spec.NodeName != "":
		b.bound[pod.UID] = assignment{pod.Spec.NodeName, ownerOf(pod)}
		delete(b.waiting, pod.UID)
	case pod.DeletionTimestamp == nil && len(pod.Spec.SchedulingGates) == 0 && pod.Spec.SchedulerName == corev1.DefaultSchedulerName:
		b.waiting[pod.UID] = pod
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
}

// forget drops a pod that is gone.
func (b *binder) forget(uid types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.bound, uid)
	delete(b.waiting, uid)
}

func ownerOf(pod *corev1.Pod) types.UID {
	if o := metav1.GetControllerOf(pod); o != nil {
		return o.UID
	}
	return pod.UID
}

// run binds pods until the context ends.
func (b *binder) run(ctx context.Context) {
	retry := time.NewTicker(retryBinding)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-retry.C:
		}
		b.mu.Lock()
		pods := make([]*corev1.Pod, 0, len(b.waiting))
		for _, p := range b.waiting {
			pods = append(pods, p)
		}
		b.mu.Unlock()
		slices.SortFunc(pods, func(a, z *corev1.Pod) int {
			return cmp.Or(a.CreationTimestamp.Compare(z.CreationTimestamp.Time), cmp.Compare(a.Name, z.Name))
		})
		for _, p := range pods {
			if err := b.bind(ctx, p); err != nil && ctx.Err() == nil {
				b.cluster.logf("bind %s/%s: %v", p.Namespace, p.Name, err)
			}
		}
	}
}

// bind gives one pod a node. A pod that fits nowhere is told so and tried again.
func (b *binder) bind(ctx context.Context, pod *corev1.Pod) error {
	node := pickNode(pod, b.cluster.nodeObjects(), b.loads(ownerOf(pod)))
	if node == nil {
		return b.cluster.reportUnschedulable(ctx, pod)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	err := b.cluster.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: node.Name},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("to node %q: %w", node.Name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, pod.UID)
	if err == nil {
		b.bound[pod.UID] = assignment{node.Name, ownerOf(pod)}
	}
	return nil
}

func (b *binder) loads(owner types.UID) map[string]load {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[string]load{}
	for _, a := range b.bound {
		l := out[a.node]
		l.total++
		if a.owner == owner {
			l.owner++
		}
		out[a.node] = l
	}
	return out
}
