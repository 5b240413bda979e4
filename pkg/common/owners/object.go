package owners

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Object is the part of an object's metadata that tells who keeps it, for those that keep no more of an object than they need.
type Object struct{ meta metav1.ObjectMeta }

// Of returns what tells who keeps an object; nil where no controller owns a field of it. It holds on to the maps of the metadata.
func Of(m metav1.ObjectMeta) *Object {
	var managed []metav1.ManagedFieldsEntry
	for _, f := range m.ManagedFields {
		if Reconciles(f.Manager) && f.FieldsV1 != nil {
			managed = append(managed, metav1.ManagedFieldsEntry{Manager: f.Manager, FieldsV1: f.FieldsV1})
		}
	}
	if managed == nil {
		return nil
	}
	return &Object{metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, Annotations: m.Annotations, OwnerReferences: m.OwnerReferences, ManagedFields: managed}}
}

// Keeper returns the controller that would write any of the fields again; nil where none is known.
func (o *Object) Keeper(fields ...Field) *Keeper {
	if o == nil {
		return nil
	}
	return first(Named(Parse(o.meta.ManagedFields).Of(fields...), Marks(o.meta)))
}

// ServiceKeeper is Keeper for fields of a Service. A controller that owns the spec counts too, except those that leave what they do not own.
func (o *Object) ServiceKeeper(fields ...Field) *Keeper {
	if k := o.Keeper(fields...); k != nil || o == nil {
		return k
	}
	for _, k := range Named(Parse(o.meta.ManagedFields).ServiceKeepers(), Marks(o.meta)) {
		if !k.Spares() {
			return &k
		}
	}
	return nil
}

func first(keepers []Keeper) *Keeper {
	if len(keepers) == 0 {
		return nil
	}
	return &keepers[0]
}

// Spares reports whether the tool leaves fields that it does not own, as a rule. A controller of another kind may write the whole object again.
func (k Keeper) Spares() bool {
	switch k.Tool {
	case ToolArgo, ToolFlux, ToolHelm, ToolOperator:
		return true
	}
	return false
}
