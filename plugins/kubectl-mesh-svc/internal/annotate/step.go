package annotate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Access is the permission that writing an item needs.
func Access() permissions.Access {
	return permissions.Access{Resource: "services", Verbs: []string{"patch"}, Place: permissions.InServices, Writes: true, For: "the annotations"}
}

// Target is the Service.
func (i *Item) Target() change.Target {
	return change.Target{Member: i.Member, Kind: change.Service, Namespace: i.Namespace, Name: i.Name}
}

// AccessReadBack is the permission to read an item back after it was written.
func AccessReadBack() permissions.Access {
	return permissions.Access{Resource: "services", Verbs: []string{"get"}, Place: permissions.InServices, For: "one named Service, and each Service that was written, which is read back"}
}

// Permissions are asked for once for each namespace: rules do not name single Services. A list has read the Services, which is not the permission to read one back.
func (i *Item) Permissions() []permissions.Permission {
	return append(AccessReadBack().In(i.Namespace, ""), Access().In(i.Namespace, "")...)
}

// attempts is how often a write is tried when only unrelated fields changed meanwhile.
const attempts = 3

// Send patches the annotations that differ, with uid and resourceVersion as preconditions. A conflict is tried again only if our own keys are still as planned.
func (i *Item) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	fields := change.Fields{Annotations: Values{}}
	for _, k := range i.changedKeys() {
		fields.Annotations[k] = i.After[k]
	}
	for n := 1; ; n++ {
		got, err := i.Target().Patch(ctx, i.UID, i.Version, fields, i.manager, dryRun)
		switch {
		case apierrors.IsNotFound(err):
			return nil, change.ErrDeleted
		case !apierrors.IsConflict(err):
			return got, err
		}
		now, readErr := i.Target().Get(ctx)
		switch {
		case apierrors.IsNotFound(readErr):
			return nil, change.ErrDeleted
		case readErr != nil:
			return nil, fmt.Errorf("%w: after a conflict it could not be read again: %w", change.ErrNotSent, readErr)
		case now.GetUID() != i.UID:
			return nil, change.ErrRecreated
		}
		for k, v := range i.Before {
			if !Same(current(now, k), v) {
				return nil, change.ErrConflict
			}
		}
		if n == attempts {
			return nil, err
		}
		i.Version = now.GetResourceVersion()
	}
}

// Diff returns the first annotation, in the order of the keys, that is not as planned.
func (i *Item) Diff(stored metav1.Object) *change.Difference {
	for _, k := range slices.Sorted(maps.Keys(i.After)) {
		if have := current(stored, k); !Same(have, i.After[k]) {
			return &change.Difference{Field: k, Value: Show(have), Gone: have == nil}
		}
	}
	return nil
}

// current returns the value of one annotation, nil when it is absent.
func current(obj metav1.Object, key string) *string {
	if v, ok := obj.GetAnnotations()[key]; ok {
		return &v
	}
	return nil
}

// Show returns a value as a table shows it.
func Show(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return fmt.Sprintf("%q", *v)
}
