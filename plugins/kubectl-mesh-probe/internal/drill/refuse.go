package drill

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// refusals says why a drill cannot take the backends away, or could not give them back. notes are what else to know.
func refusals(b *backends, with drillrecord.With, cluster string) (reasons, notes []string) {
	switch with {
	case drillrecord.Shared:
		return refuseShared(b, cluster)
	case drillrecord.Evict:
		reasons = refuseEvict(b)
	case drillrecord.Scale:
		reasons, notes = refuseScale(b)
	}
	if len(b.pods) == 0 {
		reasons = append(reasons, fmt.Sprintf("Service %s has no pod in %s", b.service.Name, cluster))
	}
	if v := lostVolumes(b.pods); len(v) > 0 && len(reasons) == 0 {
		notes = append(notes, fmt.Sprintf("what the pods keep in these volumes is deleted with them, and is not restored: %s", strings.Join(v, ", ")))
	}
	if len(b.others) > 0 && len(reasons) == 0 {
		notes = append(notes, fmt.Sprintf("the same pods are behind other Services of the namespace, which the drill affects too: %s", strings.Join(b.others, ", ")))
	}
	return reasons, notes
}

// refuseShared refuses where the annotation would be written again, or where it changes nothing.
func refuseShared(b *backends, cluster string) (reasons, notes []string) {
	if !cilium.Global(b.service.Annotations).Value {
		return []string{fmt.Sprintf("Service %s is not global in %s, so clients of other clusters do not use its endpoints", b.service.Name, cluster)}, nil
	}
	if !cilium.Shared(b.service.Annotations).Value {
		return []string{fmt.Sprintf("Service %s is not shared in %s, so clients of other clusters do not use its endpoints", b.service.Name, cluster)}, nil
	}
	k := owners.Of(b.service.ObjectMeta).ServiceKeeper(owners.Annotation(drillrecord.FieldShared))
	switch {
	case k == nil:
	case k.Tool == owners.ToolHelm:
		notes = append(notes, helmNote("the annotation of Service "+b.service.Name, *k))
	default:
		reasons = append(reasons, fmt.Sprintf("%s owns the annotation %s of Service %s and would write it again (%s)", who(*k), drillrecord.FieldShared, b.service.Name, k.Mark))
	}
	return reasons, notes
}

// refuseEvict refuses where an eviction is forbidden, or where nothing replaces the pod.
func refuseEvict(b *backends) []string {
	var out []string
	for _, p := range b.pods {
		if metav1.GetControllerOf(&p) == nil {
			out = append(out, fmt.Sprintf("nothing controls pod %s, so nothing would replace it after an eviction; use --with shared", p.Name))
		}
	}
	for _, budget := range b.budgets {
		selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
		if err != nil {
			continue // the eviction API cannot read it either; the dry run says so
		}
		n := 0
		for _, p := range b.pods {
			if selector.Matches(labels.Set(p.Labels)) {
				n++
			}
		}
		if allowed := int(budget.Status.DisruptionsAllowed); n > allowed {
			out = append(out, fmt.Sprintf("PodDisruptionBudget %s allows %d evictions now, and the drill needs %d; use --with scale or --with shared, which do not evict", budget.Name, allowed, n))
		}
	}
	return out
}

// refuseScale refuses where the workload is unknown, or where somebody else owns its replicas.
func refuseScale(b *backends) (reasons, notes []string) {
	for _, s := range b.stray {
		reasons = append(reasons, fmt.Sprintf("%s is not part of a Deployment, StatefulSet or ReplicaSet and cannot be scaled; use --with evict or --with shared", s))
	}
	for _, w := range b.workloads {
		reason, note := replicasOwner(w, b)
		if reason != "" {
			reasons = append(reasons, reason)
		}
		if note != "" {
			notes = append(notes, note)
		}
		if w.deletesClaims() {
			reasons = append(reasons, fmt.Sprintf("%s deletes its PersistentVolumeClaims when it is scaled to 0 (spec.persistentVolumeClaimRetentionPolicy.whenScaled: Delete), so their data would be lost; use --with shared, or --with evict", w))
		}
		if w.replicas == 0 {
			reasons = append(reasons, fmt.Sprintf("%s is scaled to 0 already", w))
		}
	}
	return reasons, notes
}

// lostVolumes are the volumes that end with their pod, each once: "emptyDir cache".
func lostVolumes(pods []corev1.Pod) []string {
	var out []string
	for _, p := range pods {
		for _, v := range p.Spec.Volumes {
			switch {
			case v.EmptyDir != nil:
				out = append(out, "emptyDir "+v.Name)
			case v.Ephemeral != nil:
				out = append(out, "ephemeral "+v.Name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// replicasOwner says who else writes the replicas of a workload. KEDA scales through an autoscaler of its own, so it is looked for first.
func replicasOwner(w workload, b *backends) (reason, note string) {
	const writes = "%s owns the replicas of %s and would write them again%s; use --with shared, or --with evict"
	name := w.object.GetName()
	for _, s := range b.scaled {
		kind := s.Spec.ScaleTargetRef.Kind
		if s.Spec.ScaleTargetRef.Name == name && (kind == "" && w.kind.Name == "deployment" || strings.EqualFold(kind, w.kind.Name)) {
			return fmt.Sprintf(writes, "KEDA (ScaledObject "+s.Metadata.Name+")", w, ""), ""
		}
	}
	for _, h := range b.scalers {
		to := h.Spec.ScaleTargetRef
		if to.Name != name || !strings.EqualFold(to.Kind, w.kind.Name) {
			continue
		}
		for _, ref := range h.OwnerReferences {
			if strings.HasPrefix(ref.APIVersion, "keda.sh/") {
				return fmt.Sprintf(writes, "KEDA ("+ref.Kind+" "+ref.Name+")", w, ""), ""
			}
		}
		return fmt.Sprintf(writes, "HorizontalPodAutoscaler "+h.Name, w, ""), ""
	}
	k := keeperOfReplicas(w.object)
	switch {
	case k == nil:
		return "", ""
	case k.Tool == owners.ToolHelm:
		return "", helmNote("the replicas of "+w.String(), *k)
	}
	return fmt.Sprintf(writes, who(*k), w, " ("+k.Mark+")"), ""
}

// scalersManager is the field manager of an autoscaler. Whether there is one was asked; the name stays after it is gone.
const scalersManager = "kube-controller-manager"

// keeperOfReplicas returns the controller that would write the replicas again; nil where none is known.
func keeperOfReplicas(o metav1.Object) *owners.Keeper {
	meta := metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: o.GetName(), Labels: o.GetLabels(), Annotations: o.GetAnnotations(), OwnerReferences: o.GetOwnerReferences(), ManagedFields: o.GetManagedFields()}
	meta.ManagedFields = slices.DeleteFunc(slices.Clone(meta.ManagedFields), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == scalersManager })
	return owners.Of(meta).Keeper(owners.SpecOf("replicas"))
}

// who names a keeper, by its field manager if the tool is not known.
func who(k owners.Keeper) string {
	if k.String() != "" {
		return k.String()
	}
	return fmt.Sprintf("field manager %q", k.Manager)
}

func helmNote(what string, k owners.Keeper) string {
	return fmt.Sprintf("%s manages %s: an upgrade during the drill would write it again", who(k), what)
}

// isBackend reports whether a pod is one of those that a drill removes.
func isBackend(pods []corev1.Pod, name string) bool {
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == name })
}
