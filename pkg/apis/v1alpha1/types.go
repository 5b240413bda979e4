// Package v1alpha1 holds the documents that -o json and -o yaml print and that
// users' scripts read. They are plain types: no behaviour but their JSON, no Kubernetes client.
// A released field keeps its meaning. An absent value is absent, not zero.
package v1alpha1

import "encoding/json"

// APIVersion is the version of all documents in this package.
const APIVersion = "mesh.kubectl.io/v1alpha1"

// Document is the envelope of every document.
type Document struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Complete is false if a member or a record is missing.
	Complete bool     `json:"complete"`
	Members  []Member `json:"members"`
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
	Name    string       `json:"name"`
	Context string       `json:"context,omitempty"`
	ID      *uint32      `json:"id,omitempty"`
	Server  string       `json:"server,omitempty"`
	Version string       `json:"version,omitempty"`
	Error   *MemberError `json:"error,omitempty"`
}

// MemberError says why a member is missing. Class is one word: dns, timeout, refused, tls, unauthorized, forbidden, notfound, no-cilium, error.
type MemberError struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

// Finding is one finding of a rule.
type Finding struct {
	ID       string   `json:"id"`
	Severity string   `json:"severity"` // error, warning or info
	Clusters []string `json:"clusters,omitempty"`
	Object   string   `json:"object,omitempty"`
	// Objects lists the objects, if one finding refers to several; Object then says how many they are.
	Objects []string `json:"objects,omitempty"`
	Message string   `json:"message"`
	Reason  string   `json:"reason,omitempty"`
	Fix     string   `json:"fix,omitempty"`    // the command that fixes it
	Advice  string   `json:"advice,omitempty"` // how to fix it if no command does
}

// ClusterList is what kubectl mesh-svc clusters prints.
type ClusterList struct {
	Document `json:",inline"`
	Clusters []Cluster `json:"clusters"`
}

// Cluster describes a member.
type Cluster struct {
	Name                 string `json:"name"`
	Context              string `json:"context"`
	ID                   uint32 `json:"id"`
	Version              string `json:"version,omitempty"`
	CiliumNamespace      string `json:"ciliumNamespace"`
	MaxConnectedClusters int    `json:"maxConnectedClusters"`
	KVStoreMesh          *bool  `json:"kvStoreMesh,omitempty"`
	KubeProxyReplacement bool   `json:"kubeProxyReplacement"`
	// DefaultGlobalNamespace is whether a namespace without an annotation exports its Services; absent where Cilium has no such gate.
	DefaultGlobalNamespace *bool  `json:"defaultGlobalNamespace,omitempty"`
	DatapathMode           string `json:"datapathMode,omitempty"`
	PeersKnown             bool   `json:"peersKnown"`
	Peers                  []Peer `json:"peers,omitempty"`
	// SkippedPeers are entries that look like peers and that Cilium skips.
	SkippedPeers []SkippedPeer `json:"skippedPeers,omitempty"`
	UID          string        `json:"uid,omitempty"`
	Home         bool          `json:"home,omitempty"`
}

// Peer is a cluster that another one is configured to connect to.
// Mutual is absent where the other side could not be read.
type Peer struct {
	Name   string `json:"name"`
	Mutual *bool  `json:"mutual,omitempty"`
}

// SkippedPeer is an entry of Secret cilium-clustermesh that Cilium skips, and why.
type SkippedPeer struct {
	Entry  string `json:"entry"`
	Reason string `json:"reason"`
}

// ServiceList is what kubectl mesh-svc list prints.
type ServiceList struct {
	Document `json:",inline"`
	Services []ServiceSummary `json:"services"`
}

// ServiceSummary is one Service over all members.
type ServiceSummary struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Clusters  []ServiceCluster `json:"clusters"`
	// Changes is what changed since the document before; only with --watch.
	Changes []ServiceChange `json:"changes,omitempty"`
}

// ServiceCluster is one Service in one cluster.
type ServiceCluster struct {
	Cluster  string `json:"cluster"`
	Present  bool   `json:"present"`
	Type     string `json:"type,omitempty"`
	Global   *Value `json:"global,omitempty"`
	Shared   *Value `json:"shared,omitempty"`
	Affinity *Value `json:"affinity,omitempty"`
	// Drained is true if kubectl mesh-svc drain took the Service out of service and undrain has not restored it.
	Drained bool `json:"drained,omitempty"`
	// Proxied is true if the L7 proxy of this cluster answers for the Service, as for a Gateway or an Ingress: its endpoint
	// is Cilium's placeholder, which does not count as an endpoint.
	Proxied bool   `json:"proxied,omitempty"`
	Ports   []Port `json:"ports,omitempty"`
	Ready   *int   `json:"readyEndpoints,omitempty"`
	Total   *int   `json:"endpoints,omitempty"`
}

// Value is an effective setting and its source: key, alias, default, or ignored because the Service is not global.
type Value struct {
	Value  string `json:"value"`
	Source string `json:"source"`
	Key    string `json:"key,omitempty"`
	Raw    string `json:"raw,omitempty"`
}

// Port is a port of a Service.
type Port struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol"`
	Port     int32  `json:"port"`
}

// ServiceReport is what kubectl mesh-svc describe prints.
type ServiceReport struct {
	Document    `json:",inline"`
	Namespace   string           `json:"namespace"`
	Name        string           `json:"name"`
	Clusters    []ServiceCluster `json:"clusters"`
	Predictions []Prediction     `json:"predictions"`
	// Failures holds the shares after one cluster has lost all its endpoints of this Service.
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is the prediction after the loss of one cluster's endpoints.
type Failure struct {
	Lost        string       `json:"lost"`
	Predictions []Prediction `json:"predictions"`
}

// Prediction is who answers the clients of one cluster on one port.
// Outcomes has several entries only where Cilium versions differ and a version, the client's or an exporter's, is unknown.
// Complete is false where something else is not known that may change who answers: a member that could not be read, or what a caveat names.
type Prediction struct {
	Client   string    `json:"client"`
	Port     Port      `json:"port"`
	IPFamily string    `json:"ipFamily,omitempty"`
	Kind     string    `json:"kind"`
	Complete bool      `json:"complete"`
	Outcomes []Outcome `json:"outcomes,omitempty"`
	Caveats  []string  `json:"caveats,omitempty"`
}

// Outcome is what happens under the rules of some Cilium versions.
type Outcome struct {
	Versions []string `json:"versions,omitempty"`
	Shares   []Share  `json:"shares"`
}

// Share is the part of a client's new connections that one cluster answers, from 0 to 1.
type Share struct {
	Cluster string `json:"cluster"`
	// Share, Backends and Used are absent where the cluster could not be read and may answer.
	Share    *float64 `json:"share,omitempty"`
	Backends *int     `json:"backends,omitempty"`
	Used     *bool    `json:"used,omitempty"`
	// Low and High bound the share where such a cluster takes a part of it that is not known: Share is then what is left at most.
	// They are absent where the share is known.
	Low    *float64 `json:"low,omitempty"`
	High   *float64 `json:"high,omitempty"`
	Reason string   `json:"reason"`
	Code   string   `json:"code"`
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

// ChangeReport is what every writing command prints.
type ChangeReport struct {
	Document `json:",inline"`
	// Action names the command, such as "globalize" or "sync".
	Action string `json:"action"`
	// DryRun is none, client or server.
	DryRun  string   `json:"dryRun"`
	Changes []Change `json:"changes"`
	// UndoFile is the record for the undo command; absent if nothing was written.
	UndoFile string `json:"undoFile,omitempty"`
	// UndoCommand undoes the writes; RetryCommand does the missing ones. Both are for a shell.
	UndoCommand  string `json:"undoCommand,omitempty"`
	RetryCommand string `json:"retryCommand,omitempty"`
}

// Change is a planned or completed change of one object in one cluster.
// Before and After hold the values that the command changes; an absent key is null. Secrets are shown as fingerprints.
type Change struct {
	Cluster   string             `json:"cluster"`
	Context   string             `json:"context,omitempty"`
	Object    string             `json:"object"` // TYPE/NAME
	Namespace string             `json:"namespace,omitempty"`
	Before    map[string]*string `json:"before,omitempty"`
	After     map[string]*string `json:"after,omitempty"`
	Result    string             `json:"result"`
	Message   string             `json:"message,omitempty"`
	// Owners lists the reconcilers that also write this object.
	Owners []Reconciler `json:"owners,omitempty"`
}
