// Package annotate plans changes of annotations of Services in several clusters, knows who owns them, and keeps the record with which a change is
// undone. pkg/common/change carries the plans out.
package annotate

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// Values are annotation values by key; nil means absent.
type Values map[string]*string

// Item is one Service of one member and what should become of it. It is a step of a change.
type Item struct {
	change.Outcome

	Member    *clusters.Member
	Namespace string
	Name      string
	UID       types.UID
	Version   string // resourceVersion when it was planned
	Before    Values
	After     Values
	Owners    []Owner         // who owns the keys that would change
	Managed   []owners.Keeper // what the object itself says it belongs to

	manager string   // the field manager that writes
	spec    []string // the field managers that own what defines the Service
}

// Object returns the item's TYPE/NAME as kubectl prints it.
func (i *Item) Object() string { return "service/" + i.Name }

// Plan is what one command will do, in the order in which it does it.
type Plan struct {
	Action  string
	Manager string // field manager
	Items   []*Item
	// Former is the field manager of the change that is undone, for undo.
	Former string
	// Local is the command that makes the same change in a manifest, without names and file; "" if there is none.
	Local string
}

// exempt lists the field managers that write in our name.
func (p *Plan) exempt() []string { return []string{p.Manager, p.Former} }

// NewItem plans the edits on a Service as it was read. A Service that has the values already is unchanged.
func NewItem(m *clusters.Member, svc *corev1.Service, edits Values) *Item {
	i := &Item{Member: m, Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID, Version: svc.ResourceVersion, Before: Values{}, After: Values{}}
	i.Result = v1alpha1.ResultPlanned
	for key, want := range edits {
		i.Before[key], i.After[key] = current(svc, key), want
	}
	if equal(i.Before, i.After) {
		i.Result = v1alpha1.ResultUnchanged
		return i
	}
	i.Owners = keyOwners(svc.ManagedFields, i.changedKeys())
	i.Managed = owners.Marks(svc.ObjectMeta)
	i.spec = owners.Parse(svc.ManagedFields).ServiceKeepers()
	return i
}

// Requested reports whether the item would be written, or is refused.
func (i *Item) Requested() bool {
	return i.Result == v1alpha1.ResultPlanned || i.Result == v1alpha1.ResultRefused
}

// Same reports whether two items are the same change of the same Service.
func (i *Item) Same(other *Item) bool {
	return i.Member == other.Member && i.UID == other.UID && i.Result == other.Result && equal(i.Before, other.Before) && equal(i.After, other.After)
}

// Absent is the item for a member that has no such Service.
func Absent(m *clusters.Member, namespace, name string) *Item {
	i := &Item{Member: m, Namespace: namespace, Name: name}
	i.Result = v1alpha1.ResultAbsent
	return i
}

// Same reports whether two annotation values are equal; nil is absent.
func Same(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

func equal(a, b Values) bool { return maps.EqualFunc(a, b, Same) }

// changedKeys lists the keys whose value will differ, sorted.
func (i *Item) changedKeys() []string {
	var keys []string
	for k := range i.After {
		if !Same(i.Before[k], i.After[k]) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// Pending returns the items that are still to be written.
func (p *Plan) Pending() []*Item {
	var out []*Item
	for _, i := range p.Items {
		if i.Result == v1alpha1.ResultPlanned {
			out = append(out, i)
		}
	}
	return out
}

// RefuseConflicts refuses the pending items that a reconciler owns: it would write its own value again.
func (p *Plan) RefuseConflicts() {
	for _, i := range p.Pending() {
		if c := i.conflict(p.exempt()); c != "" {
			i.Result, i.Message = v1alpha1.ResultRefused, c+", which would write it again; change it there, or use --force-conflicts"
		}
	}
}

// Steps returns the items as steps of a change.
func (p *Plan) Steps() []change.Step {
	out := make([]change.Step, len(p.Items))
	for n, i := range p.Items {
		i.manager, out[n] = p.Manager, i
	}
	return out
}

// Change is the plan as a change of its own.
func (p *Plan) Change() *change.Plan {
	return &change.Plan{Action: p.Action, Phases: []*change.Phase{{Steps: p.Steps()}}}
}

// Stop marks what is still to be written as not written: the command ended before it.
func (p *Plan) Stop() { change.Skip(p.Steps()...) }

// Failed reports whether any item failed, was refused or is unknown.
func (p *Plan) Failed() bool { return p.Change().Failed() }

// Wrote reports whether any item was, or may have been, written.
func (p *Plan) Wrote() bool {
	return slices.ContainsFunc(p.Items, func(i *Item) bool { return i.Written })
}

// Report returns the plan as the document that scripts read.
func (p *Plan) Report(members []*clusters.Member, dryRun string) v1alpha1.ChangeReport {
	r := v1alpha1.ChangeReport{Document: clusters.Document("ChangeReport", members), Action: p.Action, DryRun: dryRun, Changes: []v1alpha1.Change{}}
	for _, i := range p.Items {
		r.Changes = append(r.Changes, v1alpha1.Change{
			Cluster: i.Member.Name, Context: i.Member.Context, Object: i.Object(), Namespace: i.Namespace,
			Before: i.Before, After: i.After, Result: i.Result, Message: i.Message, Owners: p.owners(i),
		})
		if i.Incomplete() {
			r.Complete = false
		}
	}
	return r
}
