package v1alpha1

// ProbeWitness is what Cilium's agent on the node of one client pod balances the Service over, beside the prediction and the traffic.
type ProbeWitness struct {
	Cluster string `json:"cluster"`       // the client's
	Pod     string `json:"pod"`           // the client pod
	URL     string `json:"url,omitempty"` // the client's URL
	Node    string `json:"node,omitempty"`
	Agent   string `json:"agent,omitempty"` // the agent's pod
	// Frontends are the addresses of the Service that were looked up.
	Frontends []string `json:"frontends,omitempty"`
	// Backends counts the agent's backends by cluster. UnknownBackends counts those whose address is not that of an endpoint of any cluster.
	Backends        map[string]int `json:"backends,omitempty"`
	UnknownBackends int            `json:"unknownBackends,omitempty"`
	// Predicted, Shares and Traffic are the shares of each cluster by the prediction, by the agent's backends, and of the requests, from 0 to 1.
	Predicted map[string]float64 `json:"predicted,omitempty"`
	Shares    map[string]float64 `json:"shares,omitempty"`
	Traffic   map[string]float64 `json:"traffic,omitempty"`
	// Missing are backends that are predicted and that the agent does not have, Extra those that it has and that are not predicted.
	Missing []WitnessBackend `json:"missing,omitempty"`
	Extra   []WitnessBackend `json:"extra,omitempty"`
	// Differs is the layer that differs: none, agent (from the prediction) or traffic (from the agent). It is absent if that is unknown; Message then
	// says why.
	Differs string `json:"differs,omitempty"`
	Message string `json:"message,omitempty"`
}

// WitnessBackend is a backend. Cluster is absent if no cluster has an endpoint with this address.
type WitnessBackend struct {
	Address string `json:"address"`
	Cluster string `json:"cluster,omitempty"`
}
