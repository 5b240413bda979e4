package federate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// step is one write. It may hold a private key and is never printed; what says what it does.
type step struct {
	change.Outcome

	target change.Target
	needs  []permissions.Permission
	what   string
	of     *cluster
	send   func(ctx context.Context, dryRun bool) (metav1.Object, error)
	// data are the keys of a Secret that are written; nil for other objects.
	data map[string][]byte
}

func (s *step) Target() change.Target { return s.target }

func (s *step) Permissions() []permissions.Permission { return s.needs }

// Send writes the object, if it is still as it was read.
func (s *step) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	got, err := s.send(ctx, dryRun)
	return got, change.Conflict(err)
}

// Diff compares the data of a Secret. Other objects have no field that anybody else would set.
func (s *step) Diff(stored metav1.Object) *change.Difference {
	if s.target.Kind.Name != change.Secret.Name {
		return nil
	}
	return ca.DiffData(stored, s.data)
}

func (c *cluster) step(kind change.Kind, name, what string, needs ...permissions.Access) *step {
	s := &step{of: c, what: what, target: change.Target{Member: c.Member, Kind: kind, Namespace: c.Namespace, Name: name}}
	s.Result = v1alpha1.ResultPlanned
	for _, access := range needs {
		s.needs = append(s.needs, access.In(c.Namespace, name)...)
	}
	return s
}

// patchSecret writes some keys of a Secret.
func (c *cluster) patchSecret(e edit, manager, what string) *step {
	s := c.step(change.Secret, e.secret.Name, what, ca.AccessPatchSecrets())
	s.data = e.data
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Patch(ctx, e.secret.UID, e.secret.ResourceVersion, change.Fields{Data: e.data}, manager, dryRun)
	}
	return s
}

// create makes an object that did not exist.
func (c *cluster) create(kind change.Kind, obj metav1.Object, manager, what string, needs ...permissions.Access) *step {
	s := c.step(kind, obj.GetName(), what, needs...)
	if secret, ok := obj.(*corev1.Secret); ok {
		s.data = secret.Data
	}
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Create(ctx, obj, manager, dryRun)
	}
	return s
}

// patch changes the spec or annotations of an object.
func (c *cluster) patch(kind change.Kind, have metav1.Object, fields change.Fields, manager, what string, needs ...permissions.Access) *step {
	s := c.step(kind, have.GetName(), what, needs...)
	s.send = func(ctx context.Context, dryRun bool) (metav1.Object, error) {
		return s.target.Patch(ctx, have.GetUID(), have.GetResourceVersion(), fields, manager, dryRun)
	}
	return s
}

// guard simulates the writes on what was read: clusters that trust each other must do so afterwards, apart from those that are separated on purpose.
func (m *mesh) guard(steps []change.Step) error {
	before, after := m.simulate(nil), m.simulate(steps)
	for n, pair := range after {
		if before[n].Verdict == pki.OK && pair.Verdict != pki.OK && !m.separates(pair.Client, pair.Server) {
			return fmt.Errorf("this would end the trust between %s and %s (%s%s); nothing was written", pair.Client, pair.Server, pair.Login.Reason, pair.Identity.Reason)
		}
	}
	return nil
}

// separated returns an error if clusters would still trust each other after all writes of Off: one trusts the CA of a third cluster, which signed a cross
// certificate of the other.
func (m *mesh) separated(steps []change.Step) error {
	for _, pair := range m.simulate(steps) {
		if pair.Verdict == pki.OK && m.separates(pair.Client, pair.Server) {
			return fmt.Errorf("%w: %s and %s would still trust each other, by the CA of a third cluster with which both are federated: name all clusters with --in, then federate those that belong together",
				errRefused, pair.Client, pair.Server)
		}
	}
	return nil
}

// simulate works out who trusts whom after some writes.
func (m *mesh) simulate(steps []change.Step) []pki.Pair {
	sides := make([]pki.Side, len(m.all))
	for n, c := range m.all {
		sides[n] = c.Side
		sides[n].Objects = maps.Clone(c.Side.Objects)
	}
	for _, each := range steps {
		s, ok := each.(*step)
		if !ok || s.data == nil {
			continue
		}
		ref := pki.Ref{Kind: pki.Secret, Name: s.target.Name}
		n := slices.Index(m.all, s.of)
		obj := sides[n].Objects[ref]
		obj.Data = maps.Clone(obj.Data)
		if obj.Data == nil {
			obj.Data = map[string][]byte{}
		}
		maps.Copy(obj.Data, s.data)
		sides[n].Objects[ref] = obj
	}
	return pki.Matrix(sides, m.at)
}

// separates reports whether two clusters are to trust each other no longer.
func (m *mesh) separates(a, b string) bool {
	one, other := m.cluster(a), m.cluster(b)
	return m.off && one != nil && other != nil && !pki.SameAuthority(one.own.Cert, other.own.Cert)
}
