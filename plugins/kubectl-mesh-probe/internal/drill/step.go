package drill

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// step writes one value of a record: the new one, or the previous one to restore it. For a pod it is an eviction.
type step struct {
	change.Outcome

	target  change.Target
	uid     types.UID
	version string
	field   string
	from    *string // what the object has; anything else is somebody else's
	to      *string
	manager string
}

// kinds are the kinds of objects that a drill writes.
var kinds = map[string]change.Kind{
	change.Deployment.Name: change.Deployment, change.StatefulSet.Name: change.StatefulSet, change.ReplicaSet.Name: change.ReplicaSet,
	change.Service.Name: change.Service, change.EvictedPod.Name: change.EvictedPod,
}

// targetOf is the object of a change in a record.
func targetOf(m *clusters.Member, namespace string, c drillrecord.Change) change.Target {
	return change.Target{Member: m, Kind: kinds[c.Kind], Namespace: namespace, Name: c.Name}
}

// newStep plans the change of an object as it was read.
func newStep(m *clusters.Member, c drillrecord.Change, have metav1.Object, manager string) *step {
	s := &step{target: targetOf(m, have.GetNamespace(), c), uid: have.GetUID(), version: have.GetResourceVersion(), field: c.Field, from: c.Before, to: c.After, manager: manager}
	s.Result = v1alpha1.ResultPlanned
	return s
}

// backwards plans to restore the previous value.
func backwards(m *clusters.Member, c drillrecord.Change, have metav1.Object, manager string) *step {
	c.Before, c.After = c.After, c.Before
	return newStep(m, c, have, manager)
}

// Target is the object.
func (s *step) Target() change.Target { return s.target }

// evicts reports whether the step evicts a pod.
func (s *step) evicts() bool { return s.target.Kind.Name == change.EvictedPod.Name }

// Deletes reports whether the object is gone afterwards.
func (s *step) Deletes() bool { return s.evicts() }

// UID is the object's, so that the pod that replaces an evicted one is not mistaken for it.
func (s *step) UID() types.UID { return s.uid }

// Permissions are those for reading the object and for writing it.
func (s *step) Permissions() []permissions.Permission {
	needed := accessTo(s.target.Kind.Name).In(s.target.Namespace, "")
	if s.evicts() { // the pod is read back
		needed = append(needed, accessPods().In(s.target.Namespace, "")...)
	}
	return needed
}

// attempts is how often a write is tried if only other fields changed meanwhile.
const attempts = 3

// Send writes the value, with uid and resourceVersion as preconditions. After a conflict it tries again if the value is as planned.
func (s *step) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	if s.evicts() {
		return s.evict(ctx, dryRun)
	}
	for n := 1; ; n++ {
		fields, err := s.fields()
		if err != nil {
			return nil, err
		}
		got, err := s.target.Patch(ctx, s.uid, s.version, fields, s.manager, dryRun)
		switch {
		case apierrors.IsNotFound(err):
			return nil, change.ErrDeleted
		case !apierrors.IsConflict(err):
			return got, err
		}
		now, readErr := s.target.Get(ctx)
		switch {
		case apierrors.IsNotFound(readErr):
			return nil, change.ErrDeleted
		case readErr != nil:
			return nil, fmt.Errorf("%w: after a conflict it could not be read again: %w", change.ErrNotSent, readErr)
		case now.GetUID() != s.uid:
			return nil, change.ErrRecreated
		case !same(valueOf(now, s.field), s.from):
			return nil, change.ErrConflict
		case n == attempts:
			return nil, err
		}
		s.version = now.GetResourceVersion()
	}
}

// evict asks for the eviction of the pod. A pod that is gone already needs none.
func (s *step) evict(ctx context.Context, dryRun bool) (metav1.Object, error) {
	err := s.target.Evict(ctx, s.uid, dryRun)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case apierrors.IsTooManyRequests(err):
		return nil, fmt.Errorf("the eviction is not allowed now: %w", err)
	case err != nil:
		return nil, err
	}
	return &metav1.ObjectMeta{Name: s.target.Name}, nil
}

// fields are what the patch writes.
func (s *step) fields() (change.Fields, error) {
	if s.field != drillrecord.FieldReplicas {
		return change.Fields{Annotations: map[string]*string{s.field: s.to}}, nil
	}
	n, err := drillrecord.Replicas(s.to)
	return change.Fields{Spec: map[string]any{"replicas": n}}, err
}

// Diff compares the value.
func (s *step) Diff(stored metav1.Object) *change.Difference {
	have := valueOf(stored, s.field)
	if s.evicts() || same(have, s.to) {
		return nil
	}
	d := &change.Difference{Field: s.field, Gone: have == nil}
	if have != nil {
		d.Value = *have
	}
	return d
}

// valueOf returns the value of a field of an object that a drill writes; nil is absent.
func valueOf(o metav1.Object, field string) *string {
	if field != drillrecord.FieldReplicas {
		if v, ok := o.GetAnnotations()[field]; ok {
			return &v
		}
		return nil
	}
	n, err := replicasOf(o)
	if err != nil {
		return nil
	}
	text := strconv.Itoa(int(n))
	return &text
}

// errKind says that an object has no replicas.
var errKind = errors.New("the API server returned another kind of object")

// replicasOf returns how many replicas a workload is to have. The API server fills in 1 for none.
func replicasOf(o metav1.Object) (int32, error) {
	var n *int32
	switch o := o.(type) {
	case *appsv1.Deployment:
		n = o.Spec.Replicas
	case *appsv1.StatefulSet:
		n = o.Spec.Replicas
	case *appsv1.ReplicaSet:
		n = o.Spec.Replicas
	default:
		return 0, errKind
	}
	if n == nil {
		return 1, nil
	}
	return *n, nil
}

// same compares two values; nil is absent.
func same(a, b *string) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
