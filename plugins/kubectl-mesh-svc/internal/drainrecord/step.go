package drainrecord

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Access is what a record of the drain of a cluster needs in the member that keeps it, once it exists.
func Access(cluster string) permissions.Access {
	return permissions.Access{Resource: "configmaps", Names: []string{Name(cluster)}, Verbs: []string{"get", "update", "delete"}, Place: permissions.InMeshNamespace, Writes: true, Drain: true,
		For: "the previous values, stored in another cluster; this is the name for cluster `" + cluster + "`"}
}

// AccessCreate is what making a record needs.
func AccessCreate() permissions.Access {
	return permissions.Access{Resource: "configmaps", Verbs: []string{"create"}, Place: permissions.InMeshNamespace, Writes: true, Drain: true,
		For: "the same; create cannot be limited to a name"}
}

// Permissions are those for a new record in a member, or for one that is there.
func Permissions(m *clusters.Member, cluster string, create bool) []permissions.Permission {
	needed := Access(cluster).In(m.CiliumNamespace, Name(cluster))
	if create {
		needed = append(needed, AccessCreate().In(m.CiliumNamespace, "")...)
	}
	return needed
}

// Step stores a record, or deletes it, as a step of a change.
type Step struct {
	change.Outcome

	record *Record
	keeper *clusters.Member
	target change.Target
	edit   func(*Record) // what an existing record becomes; nil deletes it
	lost   bool          // the last write got no clear answer
}

// Store makes a record in a member or, where it is stored already, changes it.
func Store(r *Record, keeper *clusters.Member, edit func(*Record)) *Step {
	s := &Step{record: r, keeper: keeper, edit: edit}
	s.target = change.Target{Member: keeper, Kind: change.ConfigMap, Namespace: keeper.CiliumNamespace, Name: Name(r.Cluster)}
	s.Result = v1alpha1.ResultPlanned
	return s
}

// Remove deletes a record that is stored.
func Remove(r *Record) *Step { return Store(r, r.Member, nil) }

// Target is the ConfigMap of the record. It does not look at the record, which Send writes meanwhile.
func (s *Step) Target() change.Target { return s.target }

// Permissions are those for the record as it is stored now.
func (s *Step) Permissions() []permissions.Permission {
	return Permissions(s.keeper, s.record.Cluster, s.record.Member == nil)
}

// Deletes reports whether the record is deleted.
func (s *Step) Deletes() bool { return s.edit == nil }

// UID is that of the stored record, empty for a new one.
func (s *Step) UID() types.UID { return s.record.uid }

// Send stores or deletes the record, if it still is what was read. Only a new one can be checked by a dry run.
func (s *Step) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	var err error
	switch {
	case s.record.Member == nil:
		next := *s.record
		s.edit(&next)
		err = s.record.createAs(ctx, &next, s.keeper, dryRun)
	case dryRun:
	case s.Deletes():
		err = s.record.Delete(ctx)
	default:
		err = s.record.Advance(ctx, s.edit)
	}
	if dryRun {
		return nil, err
	}
	s.lost = err != nil
	if err != nil {
		return nil, err
	}
	return &metav1.ObjectMeta{Name: Name(s.record.Cluster)}, nil
}

// Diff compares whose record it is, and its state. A write whose answer was lost is taken over as it was read back.
func (s *Step) Diff(stored metav1.Object) *change.Difference {
	next := *s.record
	s.edit(&next)
	cm, ok := stored.(*corev1.ConfigMap)
	if !ok {
		return &change.Difference{Field: "kind"}
	}
	now, err := read(s.keeper, cm)
	if err != nil || now.ID != next.ID || now.State != next.State {
		return &change.Difference{Field: s.Target().String()}
	}
	if s.lost {
		next.stored(s.keeper, cm)
		*s.record, s.lost = next, false
	}
	return nil
}
