package v1alpha1

// ServiceChange is one change of a Service in one cluster since the previous document, with list --watch.
type ServiceChange struct {
	// Cluster is the cluster in which the Service changed.
	Cluster string `json:"cluster,omitempty"`
	// Field is present, read, global, shared, drained, proxied, affinity, type, readyEndpoints or findings.
	Field string `json:"field"`
	// From is the previous value.
	From string `json:"from"`
	// To is the new value.
	To string `json:"to"`
}
