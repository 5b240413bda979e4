package v1alpha1

import "time"

// DrainReport is what kubectl mesh-svc drain and undrain print. It is a ChangeReport with the effect on the traffic and where the previous values are
// stored.
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
	// Namespace is the namespace of the Service.
	Namespace string `json:"namespace"`
	// Name is the name of the Service.
	Name string `json:"name"`
	// Client is the cluster of the clients.
	Client string `json:"client"`
	// Port is the port of the Service.
	Port Port `json:"port"`
	// IPFamily is IPv4 or IPv6.
	IPFamily string `json:"ipFamily,omitempty"`
	// Versions names the Cilium versions to which this applies, if they differ and the version is unknown.
	Versions []string `json:"versions,omitempty"`
	// Complete is false if something unknown may change who answers, such as a cluster that could not be read.
	Complete bool `json:"complete"`
	// Shares has the clusters whose share changes, from 0 to 1.
	Shares []ShareShift `json:"shares"`
}

// ShareShift is the share of new connections that a cluster answers, before and after.
type ShareShift struct {
	// Cluster is the cluster that answers.
	Cluster string `json:"cluster"`
	// Before is the share before the change, from 0 to 1.
	Before float64 `json:"before"`
	// After is the share after the change, from 0 to 1.
	After float64 `json:"after"`
}

// DrainRecord is the ConfigMap with the previous values, in a cluster that is not drained itself.
type DrainRecord struct {
	// Cluster is the cluster that has the ConfigMap.
	Cluster string `json:"cluster"`
	// Namespace is the namespace of the ConfigMap.
	Namespace string `json:"namespace"`
	// Name is the name of the ConfigMap.
	Name string `json:"name"`
	// State is draining, drained or undraining.
	State string `json:"state"`
	// By is the user and the machine that drained the cluster.
	By string `json:"by,omitempty"`
	// Since is when the drain began.
	Since time.Time `json:"since"`
	// Services is the number of Services in the record.
	Services int `json:"services"`
}
