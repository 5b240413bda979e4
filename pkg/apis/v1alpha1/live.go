package v1alpha1

import "time"

// CALive is what the running processes of the mesh do, as status --live observes it.
type CALive struct {
	// Clusters has one entry for each member that could be read.
	Clusters []LiveCluster `json:"clusters"`
}

// LiveCluster holds the running processes of one cluster.
type LiveCluster struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// EtcdReplicas has one entry for each replica of clustermesh-apiserver.
	EtcdReplicas []LiveEtcd `json:"etcdReplicas"`
	// Clients has one entry for each process and each peer that it connects to.
	Clients []LiveClient `json:"clients"`
	// Rejections counts the handshakes that failed because of a certificate since RejectionsSince, by replica, client and reason.
	Rejections []LiveRejection `json:"rejections,omitempty"`
	// RejectionsSince is from when on failed handshakes are counted.
	RejectionsSince *time.Time `json:"rejectionsSince,omitempty"`
	// Unobserved says what could not be observed, and why; everything that depends on it is unknown.
	Unobserved []string `json:"unobserved,omitempty"`
}

// LiveEtcd is one running etcd.
type LiveEtcd struct {
	// Pod is the pod of the replica.
	Pod string `json:"pod"`
	// StartTime is when the process started.
	StartTime *time.Time `json:"startTime,omitempty"`
	// Trust is fresh, stale or unknown: whether etcd trusts the present content of its CA file, which it reads only when it starts.
	Trust string `json:"trust"`
	// Reason says why the trust is stale or unknown.
	Reason string `json:"reason,omitempty"`
	// ServedChain is the chain that etcd serves, the leaf certificate first.
	ServedChain []Certificate `json:"servedChain,omitempty"`
	// ClientVerdicts says for each other cluster whether the chain verifies against the CA file that its clients mount.
	ClientVerdicts []LiveAcceptance `json:"clientVerdicts,omitempty"`
	// Message says why nothing is known about this replica.
	Message string `json:"message,omitempty"`
}

// LiveAcceptance says whether the clients of a cluster accept a served chain.
type LiveAcceptance struct {
	// Client is the cluster of the clients.
	Client string `json:"client"`
	// Trust is the CA file that the clients mount, as TYPE/NAME[KEY].
	Trust string `json:"trust,omitempty"`
	// Verdict is ok, broken or unknown.
	Verdict string `json:"verdict"`
	// Reason says why the verdict is broken or unknown.
	Reason string `json:"reason,omitempty"`
}

// LiveClient is a running process that is a client of an etcd.
type LiveClient struct {
	// Kind is agent, kvstoremesh or operator.
	Kind string `json:"kind"`
	// Node is the node of the process.
	Node string `json:"node,omitempty"`
	// Pod is the pod of the process.
	Pod string `json:"pod"`
	// Peer is the cluster that it connects to.
	Peer string `json:"peer,omitempty"`
	// Connected is whether it is connected; absent if unknown.
	Connected *bool `json:"connected,omitempty"`
	// Etcd is CLUSTER/POD of the etcd behind the connection, by the id that the process reports; absent if it is none of the replicas that were observed.
	Etcd string `json:"etcd,omitempty"`
	// Trust is fresh, stale or unknown: whether the process trusts the present content of its CA file.
	Trust string `json:"trust"`
	// Reason says why the trust is stale or unknown.
	Reason string `json:"reason,omitempty"`
	// Evidence is what proves when the process last read its CA file.
	Evidence string `json:"evidence,omitempty"`
	// CAFileReadTime is the time that Evidence proves: the process did not read its CA file earlier.
	CAFileReadTime *time.Time `json:"caFileReadTime,omitempty"`
	// CAFile is the CA file of the process.
	CAFile string `json:"caFile,omitempty"`
	// CAFileWriteTime is when the CA file got its present content at the latest.
	CAFileWriteTime *time.Time `json:"caFileWriteTime,omitempty"`
}

// LiveRejection counts failed handshakes with one etcd replica.
type LiveRejection struct {
	// Pod is the pod of the replica.
	Pod string `json:"pod"`
	// Remote is the address of the client.
	Remote string `json:"remote"`
	// Reason is client (the client does not accept etcd's certificate) or etcd (etcd does not accept the client's certificate).
	Reason string `json:"reason"`
	// Text is the error in etcd's log.
	Text string `json:"text"`
	// Count is how many handshakes failed.
	Count int `json:"count"`
	// LastTime is when the last of them failed.
	LastTime time.Time `json:"lastTime"`
}
