package drill

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// backends is what is behind a Service in the drilled cluster, and who else writes it.
type backends struct {
	service *corev1.Service
	pods    []corev1.Pod // of the Service; those that ended or are terminating are left out
	// workloads are what controls the pods, each once, and stray the pods that no workload which can be scaled controls, with what does.
	workloads []workload
	stray     []string
	scalers   []autoscalingv2.HorizontalPodAutoscaler
	scaled    []scaledObject
	budgets   []policyv1.PodDisruptionBudget
	// others are other Services of the namespace that select some of the pods.
	others []string
}

// objects are what a drill writes, by kind, name and uid, in order.
func (b *backends) objects(with drillrecord.With) []string {
	var out []string
	add := func(kind string, o metav1.Object) {
		out = append(out, fmt.Sprintf("%s/%s %s", kind, o.GetName(), o.GetUID()))
	}
	switch with {
	case drillrecord.Shared:
		add(change.Service.Name, b.service)
	case drillrecord.Evict:
		for i := range b.pods {
			add(change.EvictedPod.Name, &b.pods[i])
		}
	case drillrecord.Scale:
		for _, w := range b.workloads {
			add(w.kind.Name, w.object)
		}
	}
	slices.Sort(out)
	return out
}

// workload is an object with replicas.
type workload struct {
	kind     change.Kind
	object   metav1.Object
	replicas int32
}

// deletesClaims reports whether the workload deletes PersistentVolumeClaims when it is scaled to 0: with them goes the data of its pods.
func (w workload) deletesClaims() bool {
	set, ok := w.object.(*appsv1.StatefulSet)
	if !ok || len(set.Spec.VolumeClaimTemplates) == 0 {
		return false
	}
	policy := set.Spec.PersistentVolumeClaimRetentionPolicy
	return policy != nil && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// String names the workload as kubectl does.
func (w workload) String() string { return w.kind.Name + "/" + w.object.GetName() }

// scaledObject is what is read of KEDA's ScaledObject.
type scaledObject struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		ScaleTargetRef struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
	} `json:"spec"`
}

// reader reads the backends of one Service.
type reader struct {
	member    *clusters.Member
	namespace string
	opts      change.Options
}

// readPods reads the pods of a Service, and which other Services select them.
func (r reader) readPods(ctx context.Context, b *backends) error {
	if len(b.service.Spec.Selector) == 0 {
		return fmt.Errorf("service %s/%s has no selector in %s, so a drill cannot know its pods; --with shared takes its endpoints away without them", r.namespace, b.service.Name, r.member.Name)
	}
	pods, err := list(ctx, r, accessPods(), func(ctx context.Context) (*corev1.PodList, error) {
		return r.member.Client.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(b.service.Spec.Selector).String()})
	})
	if err != nil {
		return err
	}
	for _, p := range pods.Items {
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if !ended && p.DeletionTimestamp == nil {
			b.pods = append(b.pods, p)
		}
	}
	services, err := list(ctx, r, permissions.Access{Resource: "services", Verbs: []string{"list"}}, func(ctx context.Context) (*corev1.ServiceList, error) {
		return r.member.Client.CoreV1().Services(r.namespace).List(ctx, metav1.ListOptions{})
	})
	if err != nil {
		return err
	}
	b.others = alsoSelecting(b, services.Items)
	return nil
}

// alsoSelecting returns the names of other Services that select some of the pods.
func alsoSelecting(b *backends, services []corev1.Service) []string {
	var out []string
	for _, svc := range services {
		if svc.Name == b.service.Name || len(svc.Spec.Selector) == 0 {
			continue
		}
		selector := labels.SelectorFromSet(svc.Spec.Selector)
		if slices.ContainsFunc(b.pods, func(p corev1.Pod) bool { return selector.Matches(labels.Set(p.Labels)) }) {
			out = append(out, svc.Name)
		}
	}
	return out
}

// readWorkloads follows the owner references of the pods to the objects that are scaled.
func (r reader) readWorkloads(ctx context.Context, b *backends) error {
	seen := map[string]bool{}
	for _, p := range b.pods {
		ref := metav1.GetControllerOf(&p)
		at := fmt.Sprint(ref)
		if ref != nil && seen[at] {
			continue
		}
		seen[at] = true
		w, stray, err := r.workloadOf(ctx, "pod/"+p.Name, ref)
		switch {
		case err != nil:
			return err
		case stray != "":
			b.stray = append(b.stray, stray)
		case !slices.ContainsFunc(b.workloads, func(have workload) bool { return have.String() == w.String() }):
			b.workloads = append(b.workloads, w)
		}
	}
	slices.SortFunc(b.workloads, func(x, y workload) int { return cmp.Compare(x.String(), y.String()) })
	return nil
}

// workloadOf returns the workload at the end of the owner references, or stray: why it cannot be scaled.
func (r reader) workloadOf(ctx context.Context, object string, ref *metav1.OwnerReference) (w workload, stray string, err error) {
	if ref == nil {
		return w, object + " (nothing controls it)", nil
	}
	var kind change.Kind
	switch {
	case ref.APIVersion == "apps/v1" && ref.Kind == "ReplicaSet":
		kind = change.ReplicaSet
	case ref.APIVersion == "apps/v1" && ref.Kind == "Deployment":
		kind = change.Deployment
	case ref.APIVersion == "apps/v1" && ref.Kind == "StatefulSet":
		kind = change.StatefulSet
	default:
		return w, fmt.Sprintf("%s (controlled by %s %s)", object, ref.Kind, ref.Name), nil
	}
	w.kind = kind
	target := change.Target{Member: r.member, Kind: kind, Namespace: r.namespace, Name: ref.Name}
	if w.object, err = fanout.Within(ctx, r.opts.Timeout, target.Get); err != nil {
		return w, "", fmt.Errorf("cluster %q: read %s: %w", r.member.Name, target, lacking(err, accessTo(kind.Name), r.namespace))
	}
	if above := metav1.GetControllerOf(w.object); above != nil {
		return r.workloadOf(ctx, w.String(), above)
	}
	w.replicas, err = replicasOf(w.object)
	return w, "", err
}

// readScalers reads who else may scale the workloads.
func (r reader) readScalers(ctx context.Context, b *backends) error {
	hpas, err := list(ctx, r, accessScalers(), func(ctx context.Context) (*autoscalingv2.HorizontalPodAutoscalerList, error) {
		return r.member.Client.AutoscalingV2().HorizontalPodAutoscalers(r.namespace).List(ctx, metav1.ListOptions{})
	})
	if err != nil {
		return err
	}
	b.scalers = hpas.Items
	scaled, err := list(ctx, r, accessKEDA(), r.scaledObjects)
	if err != nil {
		return err
	}
	b.scaled = scaled
	return nil
}

// scaledObjects reads KEDA's objects. A cluster without KEDA has none.
func (r reader) scaledObjects(ctx context.Context) ([]scaledObject, error) {
	client := r.member.Client.Discovery().RESTClient()
	if c, ok := client.(*rest.RESTClient); client == nil || ok && c == nil {
		return nil, nil // a fake client of tests
	}
	raw, err := client.Get().AbsPath("apis", "keda.sh", "v1alpha1", "namespaces", r.namespace, "scaledobjects").SetHeader("Accept", "application/json").DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseScaled(raw)
}

func parseScaled(raw []byte) ([]scaledObject, error) {
	var out struct {
		Items []scaledObject `json:"items"`
	}
	err := json.Unmarshal(raw, &out)
	return out.Items, err
}

// readBudgets reads what may forbid an eviction.
func (r reader) readBudgets(ctx context.Context, b *backends) error {
	budgets, err := list(ctx, r, accessBudgets(), func(ctx context.Context) (*policyv1.PodDisruptionBudgetList, error) {
		return r.member.Client.PolicyV1().PodDisruptionBudgets(r.namespace).List(ctx, metav1.ListOptions{})
	})
	if err == nil {
		b.budgets = budgets.Items
	}
	return err
}

// list asks one API server, and names the rule if a permission is missing.
func list[T any](ctx context.Context, r reader, a permissions.Access, ask func(context.Context) (T, error)) (T, error) {
	out, err := fanout.Within(ctx, r.opts.Timeout, ask)
	if err != nil {
		err = fmt.Errorf("cluster %q: %w", r.member.Name, lacking(err, a, r.namespace))
	}
	return out, err
}

// lacking names the rule where an API server answered that a permission is missing.
func lacking(err error, a permissions.Access, namespace string) error {
	if apierrors.IsForbidden(err) {
		return &permissions.MissingError{Permissions: a.In(namespace, ""), Err: err}
	}
	return err
}
