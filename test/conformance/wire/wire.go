// Package wire is what the lab asks a judge of backends, and what that answers: one JSON document a
// line over a unix socket, a reply for each request, in order. The judge runs Cilium's own code; this
// package knows neither that nor the lab, so that the two have nothing else in common.
//
// A request holds the objects of Kubernetes as their API servers return them. It contains no
// interpretation by our code: the judge decides which annotations count, which endpoints are exported and what
// each condition means.
package wire

import (
	"net/netip"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Program is the name of the judge's program.
const Program = "meshlab-chooser"

// Socket is the name of the judge's socket in its directory.
func Socket(dir string) string { return filepath.Join(dir, "chooser.sock") }

// Request asks for the backends of every service address of one cluster. Without a client it only asks who answers.
type Request struct {
	// Client is the name of the cluster whose clients ask; it must be one of Clusters.
	Client   string    `json:"client,omitempty"`
	Clusters []Cluster `json:"clusters,omitempty"`
}

// Cluster is one member with its objects.
type Cluster struct {
	Name string `json:"name"`
	// Peers are the names of the clusters that it connects to.
	Peers []string `json:"peers,omitempty"`
	// DefaultGlobalNamespace is clustermesh-default-global-namespace of its cilium-config.
	DefaultGlobalNamespace bool `json:"defaultGlobalNamespace"`
	// Namespaces are the annotations of each namespace.
	Namespaces map[string]map[string]string `json:"namespaces,omitempty"`
	Services   []*corev1.Service            `json:"services,omitempty"`
	// EndpointSlices are those that carry the name of one of the Services.
	EndpointSlices []*discoveryv1.EndpointSlice `json:"endpointSlices,omitempty"`
}

// Reply answers one request. With an Error the choices mean nothing.
type Reply struct {
	Error string `json:"error,omitempty"`
	// Cilium is the version of Cilium whose code answers.
	Cilium  string   `json:"cilium,omitempty"`
	Choices []Choice `json:"choices,omitempty"`
}

// Choice is one service address of the client's cluster and the backends that new connections to it go to, each with
// the same weight.
type Choice struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	Address   netip.Addr       `json:"address"`
	Protocol  string           `json:"protocol"`
	Port      uint16           `json:"port"`
	PortName  string           `json:"portName,omitempty"`
	Backends  []netip.AddrPort `json:"backends"`
}
