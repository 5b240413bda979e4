package v1alpha1

// DrainReport is the ChangeReport of drain and undrain: what was written to each Service, and beside it what
// that does to the traffic and where the former values are kept. Its kind is ChangeReport.
type DrainReport struct {
	ChangeReport `json:",inline"`
	// Cluster is the one that is drained or put back.
	Cluster string `json:"cluster"`
	// Shifts is the predicted change for each Service, client cluster and port where there is one.
	Shifts []Shift `json:"shifts,omitempty"`
	// Record is where the former values stand; absent when there is none, and after it was deleted.
	Record *DrainRecord `json:"record,omitempty"`
}

// Shift says how the answers to the clients of one cluster change on one port of a Service.
type Shift struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Client    string `json:"client"`
	Port      Port   `json:"port"`
	IPFamily  string `json:"ipFamily,omitempty"`
	// Versions names the Cilium versions that this stands for, where they differ and the version is not known.
	Versions []string `json:"versions,omitempty"`
	// Complete is false where something is not known that may change who answers, such as a cluster that could not be read.
	Complete bool `json:"complete"`
	// Shares has the clusters whose share changes, from 0 to 1.
	Shares []ShareShift `json:"shares"`
}

// ShareShift is the share of new connections that a cluster answers, before and after.
type ShareShift struct {
	Cluster string  `json:"cluster"`
	Before  float64 `json:"before"`
	After   float64 `json:"after"`
}

// DrainRecord is the ConfigMap that holds the former values, in a cluster that is not drained itself.
type DrainRecord struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// State is draining, drained or undraining.
	State string `json:"state"`
	By    string `json:"by,omitempty"`
	Since string `json:"since,omitempty"`
	// Services is how many it holds.
	Services int `json:"services"`
}
