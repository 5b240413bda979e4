package v1alpha1

// DrainReport is the ChangeReport of drain and undrain. In addition it has the effect
// on the traffic and where the previous values are stored. Its kind is ChangeReport.
type DrainReport struct {
	ChangeReport `json:",inline"`
	// Cluster is the cluster that is drained or restored.
	Cluster string `json:"cluster"`
	// Shifts is the predicted change for each Service, client cluster and port where there is one.
	Shifts []Shift `json:"shifts,omitempty"`
	// Record is where the previous values are stored; absent if there is no record, or after it was deleted.
	Record *DrainRecord `json:"record,omitempty"`
}

// Shift is the change of the shares for the clients of one cluster on one port of a Service.
type Shift struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Client    string `json:"client"`
	Port      Port   `json:"port"`
	IPFamily  string `json:"ipFamily,omitempty"`
	// Versions names the Cilium versions to which this applies, if they differ and the version is unknown.
	Versions []string `json:"versions,omitempty"`
	// Complete is false if something unknown may change who answers, such as a cluster that could not be read.
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

// DrainRecord is the ConfigMap with the previous values, in a cluster that is not drained itself.
type DrainRecord struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// State is draining, drained or undraining.
	State string `json:"state"`
	By    string `json:"by,omitempty"`
	Since string `json:"since,omitempty"`
	// Services is the number of Services in the record.
	Services int `json:"services"`
}
