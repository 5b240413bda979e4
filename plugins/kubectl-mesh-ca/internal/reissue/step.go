package reissue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// leaf is the write of a leaf certificate, from one fingerprint to another.
type leaf struct {
	*ca.Write

	before, after string
}

// runCertgen creates a Job from a CronJob, as kubectl create job --from does.
func runCertgen(of *ca.State, from *batchv1.CronJob, name, manager string) *ca.Write {
	annotations := map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}
	maps.Copy(annotations, from.Spec.JobTemplate.Annotations)
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: of.Namespace, Annotations: annotations, Labels: maps.Clone(from.Spec.JobTemplate.Labels),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "CronJob", Name: from.Name, UID: from.UID}},
		},
		Spec: *from.Spec.JobTemplate.Spec.DeepCopy(),
	}
	w := ca.NewCreation(of, change.Job, job, manager, "certgen, from CronJob "+from.Name)
	w.Needs = append(w.Needs, ca.AccessRunCertgen().In(of.Namespace, "")...)
	return w
}

// renew asks cert-manager to renew a Certificate, as cmctl renew does: it sets the condition Issuing.
func renew(of *ca.State, have *unstructured.Unstructured, manager string, now time.Time) *ca.Write {
	conditions, _, _ := unstructured.NestedSlice(have.Object, "status", "conditions") // what does not parse is written again by cert-manager
	conditions = slices.DeleteFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == "Issuing"
	})
	conditions = append(conditions, map[string]any{
		"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "Certificate re-issuance manually triggered",
		"lastTransitionTime": now.UTC().Format(time.RFC3339), "observedGeneration": have.GetGeneration(),
	})
	w := ca.NewPatch(of, change.Certificate, have, change.Fields{Status: map[string]any{"conditions": conditions}}, manager, "renewed by cert-manager",
		ca.AccessReadCertificates(), ca.AccessRenewCertificates())
	w.Compare = func(stored metav1.Object) *change.Difference {
		// cert-manager may have issued the certificate since. If nothing about its issuance has changed, the condition was not set.
		now, ok := stored.(*unstructured.Unstructured)
		if ok && (issuance(now)[0] == "True" || !slices.Equal(issuance(now), issuance(have))) {
			return nil
		}
		return &change.Difference{Field: "the condition Issuing", Gone: true}
	}
	return w
}

// issuance is what tells whether cert-manager issues a Certificate again, or has done so: the status of the condition Issuing, when it changed, the revision,
// and the last failure.
func issuance(c *unstructured.Unstructured) []string {
	status, _, _ := unstructured.NestedMap(c.Object, "status") // what is missing is compared as such
	var is, since any
	conditions, _, _ := unstructured.NestedSlice(c.Object, "status", "conditions")
	for _, each := range conditions {
		if m, ok := each.(map[string]any); ok && m["type"] == "Issuing" {
			is, since = m["status"], m["lastTransitionTime"]
		}
	}
	return []string{fmt.Sprint(is), fmt.Sprint(since), fmt.Sprint(status["revision"]), fmt.Sprint(status["lastFailureTime"])}
}

// restart replaces the pods of a workload, as kubectl rollout restart does.
func restart(of *ca.State, kind change.Kind, have metav1.Object, what, manager string, now time.Time, access permissions.Access) *ca.Write {
	w := ca.NewRestart(of, kind, have, now, manager, what, access)
	for _, a := range ca.LiveAccesses() { // whether it is connected again is observed
		w.Needs = append(w.Needs, a.In(of.Namespace, "")...)
	}
	return w
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
func (w *Work) restartMeshAPI(ctx context.Context, s *ca.State) (*ca.Write, error) {
	return w.restartOf(ctx, s, change.Deployment, cilium.DeploymentMeshAPI)
}

// restartAgents plans a restart of the agents as they are now.
func (w *Work) restartAgents(ctx context.Context, s *ca.State) (*ca.Write, error) {
	return w.restartOf(ctx, s, change.DaemonSet, cilium.DaemonSetName)
}

func (w *Work) restartOf(ctx context.Context, s *ca.State, kind change.Kind, name string) (*ca.Write, error) {
	have, err := fanout.Within(ctx, w.Change.Timeout, (change.Target{Member: s.Member, Kind: kind, Namespace: s.Namespace, Name: name}).Get)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind.Name, name, err)
	}
	if ds, ok := have.(*appsv1.DaemonSet); ok && ds.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
		return nil, errOnDelete
	}
	access, why := ca.AccessRestart(), "restart: etcd reads its CA file only at start"
	if kind.Name == change.DaemonSet.Name {
		access, why = ca.AccessRestartAgents(), "restart: agents may keep the previous CA"
	}
	return restart(s, kind, have, why, w.Manager, w.Clock.Now(), access), nil
}
