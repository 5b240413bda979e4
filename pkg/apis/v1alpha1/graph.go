package v1alpha1

// MeshGraph is what kubectl mesh-svc graph prints: who serves whom.
type MeshGraph struct {
	Document `json:",inline"`
	// Services has one entry for each Service of the graph.
	Services []GraphService `json:"services"`
	// Clusters are the nodes, one for each member.
	Clusters []GraphCluster `json:"clusters"`
	// Edges are those of all Services taken together.
	Edges []GraphEdge `json:"edges"`
}

// GraphService is one Service of the graph and its own edges.
type GraphService struct {
	// Namespace is the namespace of the Service.
	Namespace string `json:"namespace"`
	// Name is the name of the Service.
	Name string `json:"name"`
	// Edges are those of this Service.
	Edges []GraphEdge `json:"edges"`
}

// GraphCluster is one cluster: what its clients can reach, and what it has.
type GraphCluster struct {
	// Name is Cilium's name of the cluster.
	Name string `json:"name"`
	// Read is false where the cluster could not be read; the rest is then absent.
	Read bool `json:"read"`
	// Services counts those that the clients of this cluster can resolve.
	Services int `json:"services,omitempty"`
	// Unanswered counts those of Services that nobody answers.
	Unanswered int `json:"unanswered,omitempty"`
	// Proxied counts those of Services for which the L7 proxy of the client's own cluster answers: no edge leads from them.
	Proxied int `json:"proxied,omitempty"`
	// Unserved counts those of Services that Cilium does not serve in this cluster, such as ExternalName Services: no edge leads from them.
	Unserved int `json:"unserved,omitempty"`
	// Uncertain counts those of Services for which the prediction is not certain, because something could not be read or determined.
	// The ServiceReport of such a Service names it.
	Uncertain int `json:"uncertain,omitempty"`
	// ReadyEndpoints counts those of all Services of the graph.
	ReadyEndpoints int `json:"readyEndpoints,omitempty"`
}

// GraphEdge leads from the clients in one cluster to the endpoints in another or the same.
type GraphEdge struct {
	// From is the cluster of the clients.
	From string `json:"from"`
	// To is the cluster of the endpoints.
	To string `json:"to"`
	// Services counts those of which endpoints in To answer clients in From.
	Services int `json:"services"`
	// Unknown counts the Services for which it is unknown whether endpoints in To answer.
	Unknown int `json:"unknown,omitempty"`
	// Share is the mean part of the new connections of clients in From, from 0 to 1, over those that Services counts: the shares of
	// one From add up to 1 only where the same clusters answer for every Service.
	// It is absent where that is not known, and where it is not known of another To it is what is left at most.
	// Low and High are the least and the greatest one over these Services, their ports, IP families and possible Cilium versions.
	Share *float64 `json:"share,omitempty"`
	// Low is the least share over the Services, their ports, IP families and possible Cilium versions.
	Low float64 `json:"low"`
	// High is the greatest share over the Services, their ports, IP families and possible Cilium versions.
	High float64 `json:"high"`
	// Bounded is true if a cluster that was not read may answer too, for at least one Service that counts here: Share and High are then
	// upper bounds.
	Bounded bool `json:"bounded,omitempty"`
	// Code is why no endpoint is used, if none is and the reason is the same everywhere.
	Code string `json:"code,omitempty"`
}
