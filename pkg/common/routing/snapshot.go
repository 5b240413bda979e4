// Package routing predicts who answers whom: for the clients of one cluster and
// one port of a Service, the backends of each cluster from which Cilium would
// choose, their shares, and why others are not used.
//
// It is pure. It owns its input types and converts Kubernetes objects to them,
// but it uses no client: the caller reads the clusters and passes a Snapshot.
//
// Not modelled, because it changes who answers in a way that objects and settings do not tell, or only seldom:
//   - What happens while a peer is out of reach. By clustermesh-cache-ttl (1.19+, 0s by default) its backends are then
//     forgotten after a while; without it they stay.
//   - The algorithm: bpf-lb-algorithm and annotation service.cilium.io/lb-algorithm (1.18+). Over many connections random and maglev
//     give each backend the same share, unless EndpointSlices have weights, which is a caveat.
//   - Zone and node hints, which is a caveat. Up to 1.17 they choose among the endpoints of the client's own cluster only, from
//     1.18 among those of other clusters too (pkg/k8s/service_cache.go of 1.16.19, pkg/loadbalancer/writer of 1.18.11 and 1.20.2, read).
//   - identity-allocation-mode kvstore, where cilium-operator exports in place of clustermesh-apiserver: it reads cilium-config, and so
//     may heed options of it that clustermesh-apiserver is not handed.
//   - MCS-API (clustermesh-enable-mcs-api): its derived Services are judged like any other, ServiceExports and ServiceImports are not read.
//   - Local redirect policies, active health checks, and annotation service.cilium.io/node, which leaves a Service to some nodes.
package routing

import (
	"net/netip"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// Key names a Service. Cilium matches Services of different clusters by namespace and name.
type Key struct {
	Namespace string
	Name      string
}

// String returns namespace/name.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Snapshot is what was read of all members of a mesh at one time.
type Snapshot struct {
	Clusters []Cluster
}

// Cluster is one member as it was read. A member that could not be read has a
// Gap and nothing else but its name.
type Cluster struct {
	Name    string // Cilium's name of the cluster
	Context string
	Version cilium.Version
	// Gap is why this member's Services are unknown; empty when they were read.
	Gap string
	// Peers are the clusters this one is configured to connect to. PeersKnown is
	// false when that could not be read; the members are then taken as connected.
	Peers      []string
	PeersKnown bool
	// ID and MaxClusters are cluster-id and max-connected-clusters. IDKnown is false when they
	// could not be read; nothing is then concluded from them.
	ID          uint32
	MaxClusters int
	IDKnown     bool
	// DefaultGlobalNamespace is the default of the namespace gate (1.20+).
	DefaultGlobalNamespace bool
	// EndpointSliceSync: remote endpoints of headless Services are mirrored in this cluster.
	EndpointSliceSync bool
	// ServiceTopology says whether this cluster's agents heed zone hints (enable-service-topology, off by default).
	ServiceTopology bool
	// ServiceProxyName is the agents' option k8s-service-proxy-name; see cilium.Ignored.
	ServiceProxyName string
	// Namespaces holds the annotations of each namespace that was read. A Service's namespace that is not in it counts as not annotated.
	Namespaces map[string]map[string]string
	// NamespacesHidden says that namespaces may not be read: one that is not in Namespaces may exist, with any annotations.
	NamespacesHidden bool
	// NamespaceOwners tells which controllers write a namespace, for those that any does.
	NamespaceOwners map[string]*owners.Object
	// WrongKeys holds, by namespace, the keys of Namespaces that look like one that Cilium reads; see cilium.WrongNamespaceKeys.
	WrongKeys map[string][]cilium.WrongKey
	Services  map[Key]*Service
}

// Service is one Service of one cluster with its endpoints.
type Service struct {
	Key
	Annotations map[string]string
	Labels      map[string]string
	Type        string // ClusterIP, NodePort, LoadBalancer or ExternalName
	Headless    bool
	Selector    bool // whether it has a selector
	// SessionAffinity is whether sessionAffinity is ClientIP.
	SessionAffinity bool
	// InternalLocal is whether internalTrafficPolicy is Local.
	InternalLocal bool
	// ExternalLocal is whether externalTrafficPolicy is Local.
	ExternalLocal bool
	// PodLabels is the selector: labels that each pod behind the Service has.
	PodLabels map[string]string
	// Topology is whether its clients prefer endpoints of their own zone or node, where the cluster heeds that.
	Topology   bool
	ClusterIPs []netip.Addr
	// IPv4 and IPv6 are the families of a headless Service, which has no cluster IP to tell them.
	IPv4, IPv6 bool
	Ports      []Port
	Endpoints  []Endpoint
	// WrongSliceKeys holds, by the name of an EndpointSlice, its annotations that look like one that Cilium reads; see cilium.WrongSliceKeys.
	WrongSliceKeys map[string][]cilium.WrongKey
	// Owners tells which controllers write it; nil for none.
	Owners *owners.Object
}

// Port is one port of a Service.
type Port struct {
	Name     string
	Protocol string // TCP, UDP or SCTP
	Port     int32
}

// Endpoint is one address behind a Service in its own cluster.
type Endpoint struct {
	Addr  netip.Addr
	Ports []Port // the resolved target ports, each under its Service port's name
	// Ready, Serving and Terminating are the EndpointSlice's conditions with their defaults applied.
	Ready, Serving, Terminating bool
	// ServingUnset says that Serving is the default.
	ServingUnset bool
	// Weight is that of its EndpointSlice, if Weighted; see cilium.SliceWeight.
	Weight   uint16
	Weighted bool
	Node     string
	Pod      string // name of the pod behind it, if any
	// DisputedConditions and DisputedPorts say that the address is in two EndpointSlices with other conditions, or other ports. The endpoint has the conditions
	// of the first and the ports of both. Cilium uses the slice that it reads last, in an order that is not fixed: agents for each port, exporters for the address
	// (updateBackends in pkg/loadbalancer/writer/writer.go at 058b84f0, Convert in operator/watchers/service_sync.go at 04630cd6, read).
	DisputedConditions, DisputedPorts bool
}

// disputed reports whether it is unknown if the endpoint is used by clients of its own cluster, or, if remote, by those of other clusters.
func (e Endpoint) disputed(remote bool) bool {
	return e.DisputedConditions || remote && e.DisputedPorts
}

// exported reports whether clustermesh-apiserver of a version with these rules offers the endpoint to other clusters: ready or serving.
// Source: ClusterServiceConverter (1.20.2, run), clustermesh-apiserver service_sync (1.18, 1.19, read); up to 1.17 see Rules.ServiceCache.
func (e Endpoint) exported(r cilium.Rules) bool { return e.Ready || e.Serving && !r.ServiceCache }

// balanced reports whether agents with these rules balance their own clients over the endpoint, and whether only while no other is active.
// Source: pkg/loadbalancer/reflectors convertEndpoints (1.18.11, 1.19.5, 1.19.7 and 1.20.2, run); up to 1.17 see Rules.ServiceCache.
func (e Endpoint) balanced(r cilium.Rules) (usable, terminating bool) {
	switch {
	case e.Ready:
		return true, false
	case r.ServiceCache:
		return e.Serving && !e.ServingUnset, e.Terminating
	}
	return e.Serving && e.Terminating, true
}

// Find returns the cluster of this Cilium name, or nil.
func (s *Snapshot) Find(name string) *Cluster {
	for i := range s.Clusters {
		if s.Clusters[i].Name == name {
			return &s.Clusters[i]
		}
	}
	return nil
}

// Keys lists the Services that exist in at least one cluster, by namespace and name.
func (s *Snapshot) Keys() []Key {
	seen := map[Key]bool{}
	var keys []Key
	for _, c := range s.Clusters {
		for k := range c.Services {
			if !seen[k] {
				seen[k] = true
				keys = append(keys, k)
			}
		}
	}
	slices.SortFunc(keys, func(a, b Key) int {
		if a.Namespace != b.Namespace {
			return cmpString(a.Namespace, b.Namespace)
		}
		return cmpString(a.Name, b.Name)
	})
	return keys
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// weighed reports whether an endpoint has another weight than 0, which takes it out.
func (s *Service) weighed() bool {
	return slices.ContainsFunc(s.Endpoints, func(e Endpoint) bool { return e.Weighted && e.Weight > 0 })
}

// ReadyEndpoints counts the endpoints that are ready in their own cluster, without placeholders.
func (s *Service) ReadyEndpoints() int {
	n := 0
	for _, e := range s.Endpoints {
		if e.Ready && !e.isPlaceholder() {
			n++
		}
	}
	return n
}

// outside reports whether the cluster's agents connect to no other cluster, whatever is configured (cilium.Refusal).
func (c *Cluster) outside() bool { return c.IDKnown && c.ID == 0 }

// Unread returns the clusters that may have backends of a Service for clients in some clusters, and whose backends the snapshot does not have: the
// clients' clusters and their peers that could not be read or are not in it. A peer of other clusters does not answer these clients. peersOf are the
// clusters whose peers are unknown: each may have further ones. Both are sorted and empty if the snapshot has all backends.
func (s *Snapshot) Unread(key Key, clients ...string) (names, peersOf []string) {
	for _, client := range clients {
		c := s.Find(client)
		if c == nil || c.Gap != "" {
			names = append(names, client)
			continue
		}
		switch svc := c.Services[key]; {
		case svc == nil || !c.usesRemote(svc):
		case !c.PeersKnown:
			peersOf = append(peersOf, c.Name)
		default:
			names = append(names, s.unreadPeers(c)...)
		}
	}
	slices.Sort(names)
	slices.Sort(peersOf)
	return slices.Compact(names), slices.Compact(peersOf)
}

// usesRemote reports whether clients of c use other clusters' backends of a Service, if there are any.
func (c *Cluster) usesRemote(svc *Service) bool {
	return cilium.Global(svc.Annotations).Value && !c.outside() && (!svc.Headless || c.Mirrors(svc))
}

// Mirrors reports whether Cilium mirrors other clusters' EndpointSlices of a global Service in c. DNS then names their endpoints if the Service is headless, and
// kube-proxy, where it serves the Service, balances over them too. They have the name of their cluster in place of that of a node, so that a traffic policy Local
// keeps kube-proxy from them.
// Source: removeEndpointSliceMeshHacks and pod_informer.go in pkg/clustermesh/endpointslicesync (1.16.19 and 1.20.2, read).
func (c *Cluster) Mirrors(svc *Service) bool {
	return cilium.SyncsSlices(svc.Annotations, svc.Headless, c.EndpointSliceSync, c.Version) == ""
}

// peered reports whether clients of c can use backends of d, as far as c's configuration tells.
func (c *Cluster) peered(d string) bool {
	return !c.PeersKnown || slices.Contains(c.Peers, d)
}

// PeersRead reports whether every cluster that c connects to was read, so that no other one can answer its clients or use its endpoints.
func (s *Snapshot) PeersRead(c *Cluster) bool {
	return c.PeersKnown && len(s.unreadPeers(c)) == 0
}

// unreadPeers lists the peers of a cluster that could not be read or are not in the snapshot.
func (s *Snapshot) unreadPeers(c *Cluster) []string {
	var out []string
	for _, p := range c.Peers {
		if peer := s.Find(p); peer == nil || peer.Gap != "" {
			out = append(out, p)
		}
	}
	return out
}
