package helper

import (
	"context"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Access rules of the steps, by what they do.
var (
	accessCreate    = permissions.Access{Resource: "pods", Verbs: []string{"create", "get", "delete"}}
	accessEphemeral = permissions.Access{Resource: "pods/ephemeralcontainers", Verbs: []string{"patch"}}
	accessReadBack  = permissions.Access{Resource: "pods", Verbs: []string{"get"}}
	accessDelete    = permissions.Access{Resource: "pods", Verbs: []string{"get", "delete"}}
)

// step is one write of this package.
type step struct {
	change.Outcome

	target  change.Target
	needs   []permissions.Permission
	send    func(ctx context.Context, dryRun bool) (metav1.Object, error)
	diff    func(stored metav1.Object) *change.Difference
	deletes bool
	uid     types.UID // of the object that is deleted
}

// Target implements change.Step.
func (s *step) Target() change.Target { return s.target }

// Permissions implements change.Step.
func (s *step) Permissions() []permissions.Permission { return s.needs }

// Send implements change.Step.
func (s *step) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	return s.send(ctx, dryRun)
}

// Diff implements change.Step.
func (s *step) Diff(stored metav1.Object) *change.Difference {
	if s.diff == nil {
		return nil
	}
	return s.diff(stored)
}

// Deletes implements change.Deleter.
func (s *step) Deletes() bool { return s.deletes }

// UID implements change.Identified.
func (s *step) UID() types.UID { return s.uid }

// create returns the step that creates a helper pod. Admission may add to the pod: what matters is found in it afterwards.
func create(m *clusters.Member, pod *corev1.Pod) *step {
	t := change.Target{Member: m, Kind: change.Pod, Namespace: pod.Namespace, Name: pod.Name}
	return &step{
		Outcome: change.Outcome{Result: v1alpha1.ResultPlanned}, target: t, needs: accessCreate.In(pod.Namespace, pod.Name),
		send: func(ctx context.Context, dryRun bool) (metav1.Object, error) {
			return t.Create(ctx, pod.DeepCopy(), Manager, dryRun)
		},
	}
}

// add returns the step that adds an ephemeral container to the client pod that was read.
func add(m *clusters.Member, client *corev1.Pod, c corev1.EphemeralContainer) *step {
	t := change.Target{Member: m, Kind: change.Pod, Namespace: client.Namespace, Name: client.Name}
	return &step{
		Outcome: change.Outcome{Result: v1alpha1.ResultPlanned}, target: t,
		needs: append(accessEphemeral.In(client.Namespace, client.Name), accessReadBack.In(client.Namespace, client.Name)...),
		send: func(ctx context.Context, dryRun bool) (metav1.Object, error) {
			patch, err := json.Marshal(map[string]any{
				"metadata": map[string]any{"uid": client.UID},
				"spec":     map[string]any{"ephemeralContainers": []corev1.EphemeralContainer{c}},
			})
			if err != nil {
				return nil, err
			}
			o := metav1.PatchOptions{FieldManager: Manager}
			if dryRun {
				o.DryRun = []string{metav1.DryRunAll}
			}
			got, err := m.Client.CoreV1().Pods(client.Namespace).Patch(ctx, client.Name, types.StrategicMergePatchType, patch, o, "ephemeralcontainers")
			if err != nil {
				return nil, err
			}
			return got, nil
		},
		diff: func(stored metav1.Object) *change.Difference {
			if p, ok := stored.(*corev1.Pod); ok && slices.ContainsFunc(p.Spec.EphemeralContainers, func(e corev1.EphemeralContainer) bool { return e.Name == c.Name }) {
				return nil
			}
			return &change.Difference{Field: "ephemeral container " + c.Name, Gone: true}
		},
	}
}

// Remove returns the step that deletes a helper pod that was found, whatever its status has become meanwhile.
func Remove(m *clusters.Member, l Leftover) change.Step {
	t := change.Target{Member: m, Kind: change.Pod, Namespace: l.Namespace, Name: l.Pod}
	return &step{
		Outcome: change.Outcome{Result: v1alpha1.ResultPlanned}, target: t, needs: accessDelete.In(l.Namespace, l.Pod), deletes: true, uid: l.UID,
		send: func(ctx context.Context, dryRun bool) (metav1.Object, error) {
			err := t.Delete(ctx, l.UID, "", dryRun)
			switch {
			case apierrors.IsNotFound(err):
				return nil, nil //nolint:nilnil // there is nothing to send, see change.Step
			case apierrors.IsConflict(err):
				return nil, change.ErrRecreated
			case err != nil:
				return nil, err
			}
			return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: l.Pod}}, nil
		},
	}
}
