package change

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Owner is a field manager that owns one annotation key.
type Owner struct {
	Key     string
	Manager string
}

// people are the field managers behind which a person stands; a prefix is
// enough. Everybody else reconciles: what we write would be reverted.
var people = []string{"kubectl", "mesh-svc", "mesh-ca", "k9s", "lens", "openlens", "headlamp", "curl", "python-requests", "node-fetch", "mozilla", "unknown", "before-first-apply"}

// Reconciler reports whether a field manager writes its fields again and again.
func (o Owner) Reconciler() bool {
	m := strings.ToLower(o.Manager)
	return !slices.ContainsFunc(people, func(p string) bool { return strings.HasPrefix(m, p) })
}

// owners returns who owns the given annotation keys, from managedFields.
func owners(fields []metav1.ManagedFieldsEntry, keys []string) []Owner {
	var out []Owner
	for _, f := range fields {
		if f.FieldsV1 == nil {
			continue
		}
		var doc struct {
			Metadata struct {
				Annotations map[string]json.RawMessage `json:"f:annotations"`
			} `json:"f:metadata"`
		}
		if err := json.Unmarshal(f.FieldsV1.GetRawBytes(), &doc); err != nil {
			continue // an entry we cannot read names no owner
		}
		for _, k := range keys {
			if _, ok := doc.Metadata.Annotations["f:"+k]; ok {
				o := Owner{Key: k, Manager: f.Manager}
				if !slices.Contains(out, o) {
					out = append(out, o)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Owner) int {
		return strings.Compare(a.Key+"\x00"+a.Manager, b.Key+"\x00"+b.Manager)
	})
	return out
}

// conflict names the reconcilers that own keys of the item, "" when there are none. Those who write in our name are no conflict.
func (i *Item) conflict(exempt []string) string {
	var parts []string
	for _, o := range i.Owners {
		if o.Reconciler() && !slices.Contains(exempt, o.Manager) {
			part := fmt.Sprintf("%s is owned by %q", o.Key, o.Manager)
			if r := i.reconciler(o.Manager); r.Tool != "" {
				part += " (" + r.String() + ")"
			}
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}
