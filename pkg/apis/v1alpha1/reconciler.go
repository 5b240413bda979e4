package v1alpha1

// Reconciler is somebody other than a person who writes the object of a change.
type Reconciler struct {
	// Tool is "Argo CD", "Flux", "Helm", "operator" or the name of another tool; absent where only the field manager's name is known.
	Tool string `json:"tool,omitempty"`
	// Source is what the tool takes the object from, such as "application shop".
	Source string `json:"source,omitempty"`
	// Manager is the field manager that owns the Service's spec or the annotation Key; absent where only marks on the object tell.
	Manager string `json:"manager,omitempty"`
	// Key is an annotation that the change writes and that Manager owns: it would write it again.
	Key string `json:"key,omitempty"`
	// Fix is where the change is made so that it stays.
	Fix string `json:"fix"`
}
