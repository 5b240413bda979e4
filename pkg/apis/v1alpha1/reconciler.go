package v1alpha1

// Reconciler is somebody other than a person who writes the object of a change.
type Reconciler struct {
	// Tool is "Argo CD", "Flux", "Helm" or "operator"; absent where only the field manager's name is known.
	Tool string `json:"tool,omitempty"`
	// Source is what the tool takes the object from, such as "application shop".
	Source string `json:"source,omitempty"`
	// Manager and Key are set where it owns an annotation that the change writes: it would write it again.
	Manager string `json:"manager,omitempty"`
	Key     string `json:"key,omitempty"`
	// Fix is where the change is made so that it stays.
	Fix string `json:"fix"`
}
