package v1alpha1

import "time"

// CALive is what the running processes of the mesh do, as status --live observes it.
type CALive struct {
	Clusters []LiveCluster `json:"clusters"`
}

// LiveCluster holds the running processes of one cluster.
type LiveCluster struct {
	Cluster string `json:"cluster"`
	// Etcd has one entry for each replica of clustermesh-apiserver.
	Etcd []LiveEtcd `json:"etcd"`
	// Clients has one entry for each process and each peer that it connects to.
	Clients []LiveClient `json:"clients"`
	// Rejected counts the handshakes that failed because of a certificate since RejectedSince, by replica, client and reason.
	Rejected      []LiveRejection `json:"rejected,omitempty"`
	RejectedSince *time.Time      `json:"rejectedSince,omitempty"`
	// Unobserved says what could not be observed, and why; everything that depends on it is unknown.
	Unobserved []string `json:"unobserved,omitempty"`
}

// LiveEtcd is one running etcd. Trust is fresh, stale or unknown: whether it trusts the present content of its CA file, which it reads only when it starts.
type LiveEtcd struct {
	Pod     string     `json:"pod"`
	Started *time.Time `json:"started,omitempty"`
	Trust   string     `json:"trust"`
	Reason  string     `json:"reason,omitempty"`
	// Served is the chain that it serves, the leaf certificate first.
	Served []Certificate `json:"served,omitempty"`
	// Accepted says for each other cluster whether the chain verifies against the CA file that its clients mount.
	Accepted []LiveAcceptance `json:"accepted,omitempty"`
	// Message says why nothing is known about it.
	Message string `json:"message,omitempty"`
}

// LiveAcceptance says whether the clients of a cluster accept a served chain. Verdict is ok, broken or unknown.
type LiveAcceptance struct {
	Client  string `json:"client"`
	Trust   string `json:"trust,omitempty"`
	Verdict string `json:"verdict"`
	Reason  string `json:"reason,omitempty"`
}

// LiveClient is a running process that is a client of an etcd. Trust is fresh, stale or unknown: whether it trusts the present content of its CA file.
type LiveClient struct {
	Kind      string `json:"kind"` // agent, kvstoremesh or operator
	Node      string `json:"node,omitempty"`
	Pod       string `json:"pod"`
	Peer      string `json:"peer,omitempty"`
	Connected *bool  `json:"connected,omitempty"` // absent if unknown
	// Etcd is CLUSTER/POD of the etcd behind the connection, by the id that the process reports; absent if it is none of the replicas that were observed.
	Etcd   string `json:"etcd,omitempty"`
	Trust  string `json:"trust"`
	Reason string `json:"reason,omitempty"`
	// Evidence is what proves when it last read its CA file, and Rebuilt is that time: it did not read it earlier.
	Evidence string     `json:"evidence,omitempty"`
	Rebuilt  *time.Time `json:"rebuilt,omitempty"`
	// File is the CA file, and Written when it got its present content at the latest.
	File    string     `json:"file,omitempty"`
	Written *time.Time `json:"written,omitempty"`
}

// LiveRejection counts failed handshakes with one etcd replica. Reason is client (the client does not accept etcd's certificate) or etcd (etcd does not accept
// the client's certificate).
type LiveRejection struct {
	Pod    string    `json:"pod"`
	Remote string    `json:"remote"`
	Reason string    `json:"reason"`
	Text   string    `json:"text"`
	Count  int       `json:"count"`
	Last   time.Time `json:"last"`
}
