package v1alpha1

// Reconciler is a controller or tool that writes the object of a change.
type Reconciler struct {
	// Tool is "Argo CD", "Flux", "Helm", "operator" or the name of another tool; absent if only the name of the field manager is known.
	Tool string `json:"tool,omitempty"`
	// Source is the source of the object, such as "application shop".
	Source string `json:"source,omitempty"`
	// FieldManager is the field manager that owns the Service's spec or the annotation Key; absent if only marks on the object identify the reconciler.
	FieldManager string `json:"fieldManager,omitempty"`
	// Key is an annotation that the change writes and that FieldManager owns and would overwrite.
	Key string `json:"key,omitempty"`
	// Fix is where to make the change so that it lasts.
	Fix string `json:"fix"`
}
