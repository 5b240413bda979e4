package annotate

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// Owner is a field manager that owns one annotation key.
type Owner struct {
	Key     string
	Manager string
}

// Reconciler reports whether a field manager writes its fields again and again.
func (o Owner) Reconciler() bool { return owners.Reconciles(o.Manager) }

// keyOwners returns who owns the given annotation keys, from managedFields.
func keyOwners(managed []metav1.ManagedFieldsEntry, keys []string) []Owner {
	fields := owners.Parse(managed)
	var out []Owner
	for _, k := range slices.Sorted(slices.Values(keys)) {
		for _, manager := range fields.Of(owners.Annotation(k)) {
			out = append(out, Owner{Key: k, Manager: manager})
		}
	}
	return out
}

// conflict names the reconcilers that own keys of the item, "" when there are none. Field managers that write in our name do not conflict.
func (i *Item) conflict(exempt []string) string {
	var parts []string
	for _, o := range i.Owners {
		for _, k := range owners.Named([]string{o.Manager}, i.Managed, exempt...) {
			part := fmt.Sprintf("%s is owned by %q", o.Key, o.Manager)
			if k.Tool != "" {
				part += " (" + k.String() + ")"
			}
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}
