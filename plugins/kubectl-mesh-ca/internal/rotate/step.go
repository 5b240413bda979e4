package rotate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// step is one write of a rotation. It may hold a private key and is never printed; what says what it does.
type step struct {
	change.Outcome

	target  change.Target
	needs   []permissions.Permission
	what    string
	deletes bool
	uid     types.UID // of the object that is deleted
	send    func(ctx context.Context, dryRun bool) (metav1.Object, error)
	diff    func(stored metav1.Object) *change.Difference
	// data are the keys of a Secret that are written, for the check that no pair loses its trust; nil for other objects.
	data map[string][]byte
	of   *cluster
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

func (c *cluster) step(kind change.Kind, name, what string, access permissions.Access) *step {
	s := &step{of: c, what: what, target: change.Target{Member: c.Member, Kind: kind, Namespace: c.Namespace, Name: name}}
	s.Result = v1alpha1.ResultPlanned
	s.needs = access.In(c.Namespace, name)
	return s
}

// patchSecret writes some keys of a Secret.
func (c *cluster) patchSecret(have *corev1.Secret, data map[string][]byte, manager, what string) *step {
	s := c.step(change.Secret, have.Name, what, ca.AccessPatchSecrets())
	s.data = data
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Patch(ctx, have.UID, have.ResourceVersion, change.Fields{Data: data}, manager, dryRun)
	}
	s.diff = func(stored metav1.Object) *change.Difference { return ca.DiffData(stored, data) }
	return s
}

// createSecret makes a Secret that the rotation keeps.
func (c *cluster) createSecret(obj *corev1.Secret, manager, what string) *step {
	s := c.step(change.Secret, obj.Name, what, ca.AccessCreateSecrets())
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Create(ctx, obj.DeepCopy(), manager, dryRun)
	}
	s.diff = func(stored metav1.Object) *change.Difference { return ca.DiffData(stored, obj.Data) }
	return s
}

// createLock makes the ConfigMap that says who rotates.
func (c *cluster) createLock(obj *corev1.ConfigMap, manager string) *step {
	s := c.step(change.ConfigMap, obj.Name, "the lock of the rotation", ca.AccessRotationLock())
	s.needs = append(s.needs, ca.AccessCreateLock().In(c.Namespace, "")...)
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Create(ctx, obj.DeepCopy(), manager, dryRun)
	}
	return s
}

// patchSpec changes the spec of a workload, and annotations of the object.
func (c *cluster) patchSpec(kind change.Kind, have metav1.Object, fields change.Fields, manager, what string, access permissions.Access) *step {
	s := c.step(kind, have.GetName(), what, access)
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Patch(ctx, have.GetUID(), have.GetResourceVersion(), fields, manager, dryRun)
	}
	return s
}

func (c *cluster) remove(kind change.Kind, have metav1.Object, what string, access permissions.Access) *step {
	s := c.step(kind, have.GetName(), what, access)
	s.deletes, s.uid = true, have.GetUID()
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return have, s.target.Delete(ctx, have.GetUID(), have.GetResourceVersion(), dryRun)
	}
	return s
}

// guard simulates the writes on what was read: a pair of clusters that trusts each other must do so after each of them, and after all of them.
func (m *mesh) guard(steps []change.Step) error {
	sides := make([]pki.Side, len(m.clusters))
	for n, c := range m.clusters {
		sides[n] = c.Side
		sides[n].Objects = maps.Clone(c.Side.Objects)
	}
	before, inside := pki.Matrix(sides, m.at), m.inside(sides)
	for _, each := range steps {
		s, ok := each.(*step)
		if !ok || s.data == nil {
			continue
		}
		n := slices.Index(m.clusters, s.of)
		ref := pki.Ref{Kind: pki.Secret, Name: s.target.Name}
		obj := sides[n].Objects[ref]
		data := maps.Clone(obj.Data)
		maps.Copy(data, s.data)
		obj.Data = data
		sides[n].Objects[ref] = obj
	}
	for n, pair := range pki.Matrix(sides, m.at) {
		if before[n].Verdict == pki.OK && pair.Verdict != pki.OK {
			return fmt.Errorf("this would end the trust between %s and %s (%s%s); nothing was written", pair.Client, pair.Server, pair.Login.Reason, pair.Identity.Reason)
		}
	}
	for n, link := range m.inside(sides) {
		if inside[n].ok && !link.ok {
			return fmt.Errorf("this would end the trust within %s (%s); nothing was written", link.cluster, link.name)
		}
	}
	return nil
}

// link is a connection within a cluster.
type link struct {
	cluster, name string
	ok            bool
}

func (m *mesh) inside(sides []pki.Side) []link {
	var out []link
	for _, side := range sides {
		for _, l := range pki.Inside(side, m.at) {
			out = append(out, link{side.Name, l.Name, l.Verdict == pki.OK})
		}
	}
	return out
}
