// Package body compares our rules about Cilium with Cilium's own Go code, whichever version of it.
//
// A Judge answers questions with one version of Cilium. The package makes random questions,
// answers them with pkg/common/cilium and pkg/common/routing, and reports every difference.
// It imports neither Cilium nor a client, so that all modules of test/conformance share it.
package body

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Cluster is what one cluster's API server holds of one Service.
type Cluster struct {
	// Name and ID are Cilium's. The ID is from 1 to 255 and differs between the clusters of a question.
	Name string
	ID   uint32
	// Namespace holds the annotations of the Service's namespace, and GlobalByDefault the
	// cluster's setting clustermesh-default-global-namespace.
	Namespace       map[string]string
	GlobalByDefault bool
	// Service is nil where the cluster has no such Service.
	Service *corev1.Service
	Slices  []*discoveryv1.EndpointSlice
}

// Frontend is one address, port and protocol on which a client reaches the Service.
type Frontend struct {
	Addr     netip.AddrPort
	Protocol string
	// Name is the Service port's name.
	Name string
}

// Backend is one address and port behind it.
type Backend struct {
	Cluster string
	Addr    netip.AddrPort
}

// Choice is what a new connection to one frontend is balanced over: each backend with the same weight.
type Choice struct {
	Frontend
	Backends []Backend
}

// Parsed is what the annotations of a Service mean.
type Parsed struct {
	Global, Shared bool
	// Affinity is the word that Cilium works with: "" for none, local or remote. Up to 1.19.5 it may be any other word.
	Affinity string
}

// Exported is what one cluster offers to the others: for each address the ports by name.
type Exported map[netip.Addr]map[string]Port

// Port is a protocol and a number.
type Port struct {
	Protocol string
	Port     uint16
}

// Judge is one version of Cilium's own code.
type Judge interface {
	// Version is Cilium's, without a leading v.
	Version() string
	// Annotations parses the annotations of a Service.
	Annotations(map[string]string) Parsed
	// Select tells what the datapath of the client's cluster would choose from, for each frontend.
	Select(client Cluster, remotes []Cluster) ([]Choice, error)
	// Export tells what the cluster offers to the others; false if it does not export the Service.
	Export(Cluster) (Exported, bool, error)
	Close() error
}

// NamespaceJudge is a judge whose version has a function for the namespace gate.
type NamespaceJudge interface {
	// NamespaceGlobal tells whether a namespace is global.
	NamespaceGlobal(annotations map[string]string, byDefault bool) bool
}

// SortChoices orders choices by frontend and the backends of each by cluster and address.
func SortChoices(choices []Choice) {
	for _, c := range choices {
		slices.SortFunc(c.Backends, func(a, b Backend) int {
			return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), a.Addr.Compare(b.Addr))
		})
	}
	slices.SortFunc(choices, func(a, b Choice) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Name, b.Name))
	})
}

// String returns the frontend as 10.96.0.1:80/TCP (http).
func (f Frontend) String() string {
	return fmt.Sprintf("%s/%s (%s)", f.Addr, f.Protocol, cmp.Or(f.Name, "unnamed"))
}
