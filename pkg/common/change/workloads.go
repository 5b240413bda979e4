package change

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// The kinds of workloads that are scaled.
var (
	StatefulSet = Kind{Name: "statefulset", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*appsv1.StatefulSet]{c.AppsV1().StatefulSets(namespace)}
	}}
	ReplicaSet = Kind{Name: "replicaset", api: func(c kubernetes.Interface, namespace string) api {
		return typed[*appsv1.ReplicaSet]{c.AppsV1().ReplicaSets(namespace)}
	}}
)

// EvictedPod is a pod that is removed by the eviction API, which heeds PodDisruptionBudgets. A pod that is terminating counts as removed:
// how long it takes is its own business.
var EvictedPod = Kind{Name: "pod", api: func(c kubernetes.Interface, namespace string) api {
	return evictable{typed: typed[*corev1.Pod]{c.CoreV1().Pods(namespace)}, client: c, namespace: namespace}
}}

// Evict removes a pod of kind EvictedPod, if it is still the one that was read. Its resourceVersion does not matter: the kubelet changes it at
// any time.
func (t Target) Evict(ctx context.Context, uid types.UID, dryRun bool) error {
	return t.client().remove(ctx, t.Name, metav1.DeleteOptions{DryRun: dry(dryRun), Preconditions: &metav1.Preconditions{UID: &uid}})
}

// evictable is the API of pods, with the eviction in place of the deletion.
type evictable struct {
	typed[*corev1.Pod]

	client    kubernetes.Interface
	namespace string
}

func (e evictable) get(ctx context.Context, name string) (metav1.Object, error) {
	got, err := e.typed.get(ctx, name)
	if err == nil && got.GetDeletionTimestamp() != nil {
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), name)
	}
	return got, err
}

func (e evictable) remove(ctx context.Context, name string, o metav1.DeleteOptions) error {
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: name}, DeleteOptions: &o}
	return e.client.CoreV1().Pods(e.namespace).EvictV1(ctx, eviction)
}
