// Package v1alpha1 holds the documents that -o json and -o yaml print and that
// users' scripts read. They are plain types: no behaviour but their JSON, no Kubernetes client.
// A released field keeps its meaning. An absent value is absent, not zero. The name of a document's type is its kind. The comments become descriptions in
// the JSON Schemas of package schema: run make schema after a change. docs/documents.md is the promise to users.
package v1alpha1

import "encoding/json"

// APIVersion is the version of all documents in this package.
const APIVersion = "mesh.kubectl.io/v1alpha1"

// Document is the envelope of every document.
type Document struct {
	// APIVersion is the version of the document: mesh.kubectl.io/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind says which document it is.
	Kind string `json:"kind"`
	// Complete is false if a member or a record is missing.
	Complete bool `json:"complete"`
	// Members has one entry for each cluster of the mesh, also for those that could not be read.
	Members []Member `json:"members"`
	// Findings is always present.
	Findings Findings `json:"findings"`
}

// Findings is a list that is [], not absent, if there is nothing to report.
type Findings []Finding

// MarshalJSON prints a nil list as an empty one.
func (f Findings) MarshalJSON() ([]byte, error) {
	if f == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Finding(f))
}

// Member is one cluster as it was found.
type Member struct {
	// Name is Cilium's name of the cluster.
	Name string `json:"name"`
	// Context is the kubeconfig context through which the cluster was reached.
	Context string `json:"context,omitempty"`
	// ID is Cilium's id of the cluster.
	ID *uint32 `json:"id,omitempty"`
	// Server is the address of the API server.
	Server string `json:"server,omitempty"`
	// Version is the version of Cilium.
	Version string `json:"version,omitempty"`
	// Error says why the cluster could not be read; absent if it could.
	Error *MemberError `json:"error,omitempty"`
}

// MemberError says why a member is missing.
type MemberError struct {
	// Class is one word: dns, timeout, refused, tls, unauthorized, forbidden, notfound, no-cilium, error.
	Class string `json:"class"`
	// Message is the error.
	Message string `json:"message"`
}

// Finding is one finding of a rule.
type Finding struct {
	// ID identifies the rule, such as SVC001. docs/findings.md lists all ids.
	ID string `json:"id"`
	// Severity is error, warning or info.
	Severity string `json:"severity"`
	// Clusters are those that the finding refers to.
	Clusters []string `json:"clusters,omitempty"`
	// Object is the object, or how many they are if Objects lists them.
	Object string `json:"object,omitempty"`
	// Objects lists the objects, if one finding refers to several.
	Objects []string `json:"objects,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Reason is the rule of Cilium behind the finding.
	Reason string `json:"reason,omitempty"`
	// Fix is the command that fixes it, for a shell.
	Fix string `json:"fix,omitempty"`
	// Advice says how to fix it if no command does.
	Advice string `json:"advice,omitempty"`
}

// ClusterList is what kubectl mesh-svc clusters prints.
type ClusterList struct {
	Document `json:",inline"`
	// Clusters has one entry for each member that could be read.
	Clusters []Cluster `json:"clusters"`
}

// Cluster describes a member.
type Cluster struct {
	// Name is Cilium's name of the cluster.
	Name string `json:"name"`
	// Context is the kubeconfig context through which the cluster was reached.
	Context string `json:"context"`
	// ID is Cilium's id of the cluster.
	ID uint32 `json:"id"`
	// Version is the version of Cilium; absent if it is unknown.
	Version string `json:"version,omitempty"`
	// CiliumNamespace is the namespace of Cilium.
	CiliumNamespace string `json:"ciliumNamespace"`
	// MaxConnectedClusters is Cilium's setting max-connected-clusters.
	MaxConnectedClusters int `json:"maxConnectedClusters"`
	// KVStoreMesh is whether the cluster runs KVStoreMesh; absent if that is unknown.
	KVStoreMesh *bool `json:"kvStoreMesh,omitempty"`
	// KubeProxyReplacement is true if Cilium replaces kube-proxy.
	KubeProxyReplacement bool `json:"kubeProxyReplacement"`
	// DefaultGlobalNamespace is whether a namespace without an annotation exports its Services; absent where Cilium has no such gate.
	DefaultGlobalNamespace *bool `json:"defaultGlobalNamespace,omitempty"`
	// DatapathMode is Cilium's setting datapath-mode.
	DatapathMode string `json:"datapathMode,omitempty"`
	// PeersKnown is false if the peers could not be read.
	PeersKnown bool `json:"peersKnown"`
	// Peers are the clusters that this one is configured to connect to.
	Peers []Peer `json:"peers,omitempty"`
	// SkippedPeers are entries that look like peers and that Cilium skips.
	SkippedPeers []SkippedPeer `json:"skippedPeers,omitempty"`
	// UID is the UID of namespace kube-system, which identifies the cluster.
	UID string `json:"uid,omitempty"`
	// Home is true for the cluster of the current context, or else for the first that was named.
	Home bool `json:"home,omitempty"`
}

// Peer is a cluster that another one is configured to connect to.
type Peer struct {
	// Name is Cilium's name of the peer.
	Name string `json:"name"`
	// Mutual is whether the peer is also configured to connect back; absent if the peer could not be read.
	Mutual *bool `json:"mutual,omitempty"`
}

// SkippedPeer is an entry of Secret cilium-clustermesh that Cilium skips, and why.
type SkippedPeer struct {
	// Entry is the key in the Secret.
	Entry string `json:"entry"`
	// Reason says why Cilium skips it.
	Reason string `json:"reason"`
}

// ServiceList is what kubectl mesh-svc list prints.
type ServiceList struct {
	Document `json:",inline"`
	// Services has one entry for each Service.
	Services []ServiceSummary `json:"services"`
}

// ServiceSummary is one Service over all members.
type ServiceSummary struct {
	// Namespace is the namespace of the Service.
	Namespace string `json:"namespace"`
	// Name is the name of the Service.
	Name string `json:"name"`
	// Clusters has one entry for each member that could be read.
	Clusters []ServiceCluster `json:"clusters"`
	// Changes is what changed since the document before; only with --watch.
	Changes []ServiceChange `json:"changes,omitempty"`
}

// ServiceCluster is one Service in one cluster.
type ServiceCluster struct {
	// Cluster is Cilium's name of the cluster.
	Cluster string `json:"cluster"`
	// Present is true if the Service exists in this cluster.
	Present bool `json:"present"`
	// Type is the type of the Service, such as ClusterIP.
	Type string `json:"type,omitempty"`
	// Global is whether the Service is global in this cluster.
	Global *Value `json:"global,omitempty"`
	// Shared is whether the cluster shares its endpoints of the Service.
	Shared *Value `json:"shared,omitempty"`
	// Affinity is which endpoints clients of this cluster prefer: local, remote or none.
	Affinity *Value `json:"affinity,omitempty"`
	// Drained is true if kubectl mesh-svc drain took the Service out of service and undrain has not restored it.
	Drained bool `json:"drained,omitempty"`
	// Proxied is true if the L7 proxy of this cluster answers for the Service, as for a Gateway or an Ingress: its endpoint
	// is Cilium's placeholder, which does not count as an endpoint.
	Proxied bool `json:"proxied,omitempty"`
	// Ports are the ports of the Service.
	Ports []Port `json:"ports,omitempty"`
	// ReadyEndpoints counts the endpoints that are ready; absent if they could not be read.
	ReadyEndpoints *int `json:"readyEndpoints,omitempty"`
	// Endpoints counts all endpoints; absent if they could not be read.
	Endpoints *int `json:"endpoints,omitempty"`
}

// Value is an effective setting and its source.
type Value struct {
	// Value is the effective value.
	Value string `json:"value"`
	// Source is key, alias, default, or ignored (the Service is not global).
	Source string `json:"source"`
	// Key is the annotation that sets the value.
	Key string `json:"key,omitempty"`
	// Raw is the value of the annotation as it is written; absent if there is none.
	Raw string `json:"raw,omitempty"`
}

// Port is a port of a Service.
type Port struct {
	// Name is the name of the port.
	Name string `json:"name,omitempty"`
	// Protocol is TCP, UDP or SCTP.
	Protocol string `json:"protocol"`
	// Port is the number of the port.
	Port int32 `json:"port"`
}

// ServiceReport is what kubectl mesh-svc describe prints.
type ServiceReport struct {
	Document `json:",inline"`
	// Namespace is the namespace of the Service.
	Namespace string `json:"namespace"`
	// Name is the name of the Service.
	Name string `json:"name"`
	// Clusters has one entry for each member that could be read.
	Clusters []ServiceCluster `json:"clusters"`
	// Predictions has one entry for each client cluster, port and IP family.
	Predictions []Prediction `json:"predictions"`
	// Failures holds the shares after one cluster has lost all its endpoints of this Service.
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is the prediction after the loss of one cluster's endpoints.
type Failure struct {
	// LostCluster is the cluster that has lost its endpoints.
	LostCluster string `json:"lostCluster"`
	// Predictions are those without these endpoints.
	Predictions []Prediction `json:"predictions"`
}

// Prediction is who answers the clients of one cluster on one port.
type Prediction struct {
	// Client is the cluster of the clients.
	Client string `json:"client"`
	// Port is the port of the Service; empty if Outcomes is absent.
	Port Port `json:"port"`
	// IPFamily is IPv4 or IPv6; absent if Outcomes is.
	IPFamily string `json:"ipFamily,omitempty"`
	// Kind says how the Service is answered in the cluster of the clients: balanced, headless, external-name, ignored, proxy, missing or unread.
	Kind string `json:"kind"`
	// Complete is false if something else is not known that may change who answers: a member that could not be read, or what a caveat names.
	Complete bool `json:"complete"`
	// Outcomes has several entries only where Cilium versions differ and a version, the client's or an exporter's, is unknown.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Caveats say what may change who answers.
	Caveats []string `json:"caveats,omitempty"`
}

// Outcome is what happens under the rules of some Cilium versions.
type Outcome struct {
	// Versions are the Cilium versions with this outcome; absent if there is only one outcome.
	Versions []string `json:"versions,omitempty"`
	// Shares has one entry for each cluster.
	Shares []Share `json:"shares"`
}

// Share is the part of a client's new connections that one cluster answers, from 0 to 1.
type Share struct {
	// Cluster is the cluster that answers.
	Cluster string `json:"cluster"`
	// Share is the share of new connections, from 0 to 1; absent if the cluster could not be read and may answer. If Low and High are present, it is what is
	// left at most.
	Share *float64 `json:"share,omitempty"`
	// Backends counts the endpoints of the cluster that answer; absent if the cluster could not be read and may answer.
	Backends *int `json:"backends,omitempty"`
	// Used is whether clients use endpoints of the cluster; absent if the cluster could not be read and may answer.
	Used *bool `json:"used,omitempty"`
	// Low is the lower bound of the share, if a cluster that could not be read takes an unknown part; absent if the share is known.
	Low *float64 `json:"low,omitempty"`
	// High is the upper bound of the share; absent if the share is known.
	High *float64 `json:"high,omitempty"`
	// Reason says why the cluster answers or does not.
	Reason string `json:"reason"`
	// Code is the reason as one word, for scripts.
	Code string `json:"code"`
}

// The results of a change.
const (
	ResultChanged   = "changed"
	ResultUnchanged = "unchanged"
	ResultPlanned   = "planned"
	ResultAbsent    = "absent"
	ResultSkipped   = "skipped"
	ResultRefused   = "refused"
	ResultFailed    = "failed"
	ResultUnknown   = "unknown"
)

// ChangeReport is what the writing commands of kubectl mesh-svc print, except for drain and undrain.
type ChangeReport struct {
	Document `json:",inline"`
	// Action names the command, such as "globalize" or "sync".
	Action string `json:"action"`
	// DryRun is none, client or server.
	DryRun string `json:"dryRun"`
	// Changes are the writes, each with its result.
	Changes []Change `json:"changes"`
	// UndoFile is the record for the undo command; absent if nothing was written.
	UndoFile string `json:"undoFile,omitempty"`
	// UndoCommand undoes the writes, for a shell.
	UndoCommand string `json:"undoCommand,omitempty"`
	// RetryCommand does the missing writes, for a shell.
	RetryCommand string `json:"retryCommand,omitempty"`
}

// Change is a planned or completed change of one object in one cluster.
type Change struct {
	// Cluster is the cluster of the object.
	Cluster string `json:"cluster"`
	// Context is the kubeconfig context through which the cluster was reached.
	Context string `json:"context,omitempty"`
	// Object is the object, as TYPE/NAME.
	Object string `json:"object"`
	// Namespace is the namespace of the object.
	Namespace string `json:"namespace,omitempty"`
	// Before has the values before the change; null for an absent key. Secrets are shown as fingerprints.
	Before map[string]*string `json:"before,omitempty"`
	// After has the values after the change; null for an absent key. Secrets are shown as fingerprints.
	After map[string]*string `json:"after,omitempty"`
	// Result is changed, unchanged, planned, absent, skipped, refused, failed or unknown.
	Result string `json:"result"`
	// Message says more about the result.
	Message string `json:"message,omitempty"`
	// Owners lists the reconcilers that also write this object.
	Owners []Reconciler `json:"owners,omitempty"`
}
