package v1alpha1

// ProbeWitness is what Cilium's agent on the node of one client pod balances the Service over, beside the prediction and the traffic.
type ProbeWitness struct {
	// Cluster is the cluster of the client pod.
	Cluster string `json:"cluster"`
	// Pod is the client pod.
	Pod string `json:"pod"`
	// URL is what the client called; absent if the run has only one URL.
	URL string `json:"url,omitempty"`
	// Node is the node of the client pod.
	Node string `json:"node,omitempty"`
	// Agent is the pod of the agent.
	Agent string `json:"agent,omitempty"`
	// Frontends are the addresses of the Service that were looked up.
	Frontends []string `json:"frontends,omitempty"`
	// Backends counts the agent's backends by cluster.
	Backends map[string]int `json:"backends,omitempty"`
	// UnknownBackends counts the agent's backends whose address is not that of an endpoint of any cluster.
	UnknownBackends int `json:"unknownBackends,omitempty"`
	// PredictedShares are the shares of each cluster by the prediction, from 0 to 1.
	PredictedShares map[string]float64 `json:"predictedShares,omitempty"`
	// AgentShares are the shares of each cluster by the agent's backends, from 0 to 1.
	AgentShares map[string]float64 `json:"agentShares,omitempty"`
	// TrafficShares are the shares of the requests that each cluster answered, from 0 to 1.
	TrafficShares map[string]float64 `json:"trafficShares,omitempty"`
	// MissingBackends are predicted, but the agent does not have them.
	MissingBackends []WitnessBackend `json:"missingBackends,omitempty"`
	// ExtraBackends are those that the agent has and that are not predicted.
	ExtraBackends []WitnessBackend `json:"extraBackends,omitempty"`
	// DifferingLayer is the layer that differs: none, agent (from the prediction) or traffic (from the agent). It is absent if that is unknown; Message then
	// says why.
	DifferingLayer string `json:"differingLayer,omitempty"`
	// Message says why DifferingLayer is absent.
	Message string `json:"message,omitempty"`
}

// WitnessBackend is a backend of an agent or of the prediction.
type WitnessBackend struct {
	// Address is the address and port of the backend.
	Address string `json:"address"`
	// Cluster is the cluster with an endpoint of this address; absent if none has one.
	Cluster string `json:"cluster,omitempty"`
}
