package reissue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// step is one write. It may hold a private key and is never printed; what says what it does.
type step struct {
	change.Outcome

	of      *ca.State
	target  change.Target
	needs   []permissions.Permission
	what    string
	deletes bool
	uid     types.UID // of the object that is deleted
	// before and after are the fingerprints of a leaf certificate; empty for another object.
	before, after string
	send          func(ctx context.Context, dryRun bool) (metav1.Object, error)
	diff          func(stored metav1.Object) *change.Difference
}

func (s *step) Target() change.Target { return s.target }

func (s *step) Permissions() []permissions.Permission { return s.needs }

func (s *step) Deletes() bool { return s.deletes }

// UID is that of the object that is deleted: its owner may create it again before it is read back.
func (s *step) UID() types.UID { return s.uid }

// Send writes the object, if it is still as it was read.
func (s *step) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	got, err := s.send(ctx, dryRun)
	return got, change.Conflict(err)
}

func (s *step) Diff(stored metav1.Object) *change.Difference {
	if s.diff == nil {
		return nil
	}
	return s.diff(stored)
}

// newStep begins a step for an object in Cilium's namespace of a cluster.
func newStep(of *ca.State, kind change.Kind, name, what string, access ...permissions.Access) *step {
	s := &step{of: of, what: what, target: change.Target{Member: of.Member, Kind: kind, Namespace: of.Namespace, Name: name}}
	s.Result = v1alpha1.ResultPlanned
	for _, a := range access {
		s.needs = append(s.needs, a.In(of.Namespace, name)...)
	}
	return s
}

// writeLeaf writes a leaf Secret that nobody else issues.
func writeLeaf(of *ca.State, have *corev1.Secret, data map[string][]byte, manager string) *step {
	s := newStep(of, change.Secret, have.Name, "signed here with cilium-ca", ca.AccessPatchSecrets())
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Patch(ctx, have.UID, have.ResourceVersion, change.Fields{Data: data}, manager, dryRun)
	}
	s.diff = func(stored metav1.Object) *change.Difference { return ca.DiffData(stored, data) }
	return s
}

// remove deletes an object that its owner creates again.
func remove(of *ca.State, kind change.Kind, have metav1.Object, what string, access permissions.Access) *step {
	s := newStep(of, kind, have.GetName(), what, access)
	s.deletes, s.uid = true, have.GetUID()
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return have, s.target.Delete(ctx, have.GetUID(), have.GetResourceVersion(), dryRun)
	}
	return s
}

// runCertgen creates a Job from a CronJob, as kubectl create job --from does.
func runCertgen(of *ca.State, from *batchv1.CronJob, name, manager string) *step {
	s := newStep(of, change.Job, name, "certgen, from CronJob "+from.Name)
	s.needs = append(s.needs, ca.AccessRunCertgen().In(of.Namespace, "")...)
	annotations := map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}
	maps.Copy(annotations, from.Spec.JobTemplate.Annotations)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: of.Namespace, Annotations: annotations, Labels: maps.Clone(from.Spec.JobTemplate.Labels),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "CronJob", Name: from.Name, UID: from.UID}},
		},
		Spec: *from.Spec.JobTemplate.Spec.DeepCopy(),
	}
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Create(ctx, job.DeepCopy(), manager, dryRun)
	}
	return s
}

// renew asks cert-manager to renew a Certificate, as cmctl renew does: it sets the condition Issuing.
func renew(of *ca.State, have *unstructured.Unstructured, manager string, now time.Time) *step {
	s := newStep(of, change.Certificate, have.GetName(), "renewed by cert-manager", ca.AccessReadCertificates(), ca.AccessRenewCertificates())
	conditions, _, _ := unstructured.NestedSlice(have.Object, "status", "conditions") // what does not parse is written again by cert-manager
	conditions = slices.DeleteFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == "Issuing"
	})
	conditions = append(conditions, map[string]any{
		"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Certificate re-issuance manually triggered",
		"lastTransitionTime": now.UTC().Format(time.RFC3339), "observedGeneration": have.GetGeneration(),
	})
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Patch(ctx, have.GetUID(), have.GetResourceVersion(), change.Fields{Status: map[string]any{"conditions": conditions}}, manager, dryRun)
	}
	return s
}

// restartedAt is what kubectl rollout restart sets.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// restart replaces the pods of a workload, as kubectl rollout restart does.
func restart(of *ca.State, kind change.Kind, have metav1.Object, what, manager string, now time.Time, access permissions.Access) *step {
	s := newStep(of, kind, have.GetName(), what, access)
	for _, a := range ca.LiveAccesses() { // whether it is connected again is observed
		s.needs = append(s.needs, a.In(of.Namespace, "")...)
	}
	template := map[string]any{"template": map[string]any{"metadata": map[string]any{"annotations": map[string]any{restartedAt: now.UTC().Format(time.RFC3339Nano)}}}}
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Patch(ctx, have.GetUID(), have.GetResourceVersion(), change.Fields{Spec: template}, manager, dryRun)
	}
	return s
}

// errKind says that an API server returned another kind of object than was asked for.
var errKind = errors.New("the API server returned another kind of object")

// get reads an object of a kind.
func get[T metav1.Object](ctx context.Context, of *ca.State, kind change.Kind, name string) (T, error) {
	var none T
	got, err := (change.Target{Member: of.Member, Kind: kind, Namespace: of.Namespace, Name: name}).Get(ctx)
	if err != nil {
		return none, err
	}
	out, ok := got.(T)
	if !ok {
		return none, errKind
	}
	return out, nil
}

// restartMeshAPI plans a restart of clustermesh-apiserver as it is now.
func (w *Work) restartMeshAPI(ctx context.Context, s *ca.State) (*step, error) {
	return w.restartOf(ctx, s, change.Deployment, cilium.DeploymentMeshAPI)
}

// restartAgents plans a restart of the agents as they are now.
func (w *Work) restartAgents(ctx context.Context, s *ca.State) (*step, error) {
	return w.restartOf(ctx, s, change.DaemonSet, cilium.DaemonSetName)
}

func (w *Work) restartOf(ctx context.Context, s *ca.State, kind change.Kind, name string) (*step, error) {
	have, err := fanout.Within(ctx, w.Change.Timeout, (change.Target{Member: s.Member, Kind: kind, Namespace: s.Namespace, Name: name}).Get)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind.Name, name, err)
	}
	access, why := ca.AccessRestart(), "restart: etcd reads its CA file only at start"
	if kind.Name == change.DaemonSet.Name {
		access, why = ca.AccessRestartAgents(), "restart: agents may keep the previous CA"
	}
	return restart(s, kind, have, why, w.Manager, w.Clock.Now(), access), nil
}
