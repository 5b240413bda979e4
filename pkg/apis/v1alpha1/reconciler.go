package v1alpha1

// Reconciler is a controller or tool that writes the object of a change.
type Reconciler struct {
	// Tool is "Argo CD", "Flux", "Helm", "operator" or the name of another tool; absent where only the field manager's name is known.
	Tool string `json:"tool,omitempty"`
	// Source is the source of the object, such as "application shop".
	Source string `json:"source,omitempty"`
	// Manager is the field manager that owns the Service's spec or the annotation Key; absent where only marks on the object tell.
	Manager string `json:"manager,omitempty"`
	// Key is an annotation that the change writes and that Manager owns and would overwrite.
	Key string `json:"key,omitempty"`
	// Fix is where to make the change so that it lasts.
	Fix string `json:"fix"`
}
