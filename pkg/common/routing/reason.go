package routing

import (
	"fmt"
	"strings"
)

// Code names why a cluster's endpoints are used or not.
type Code string

// The reasons.
const (
	ReasonLocal          Code = "local"                // the client's own cluster
	ReasonUsed           Code = "used"                 // remote and used
	ReasonNotGlobalHere  Code = "not-global-here"      // the client's Service is not global
	ReasonNotGlobalThere Code = "not-global-there"     // the remote Service is not global
	ReasonNotShared      Code = "not-shared"           // the remote Service is not shared
	ReasonMissing        Code = "no-service-there"     // no Service of this name in the remote cluster
	ReasonIgnoredThere   Code = "ignored-there"        // Cilium ignores the remote Service
	ReasonNamespace      Code = "namespace-not-global" // the remote namespace is gated
	ReasonNotPeer        Code = "not-a-peer"           // the client's cluster does not connect to it
	ReasonRefused        Code = "peer-refused"         // the client's cluster refuses its identity
	ReasonUnread         Code = "not-read"             // the remote cluster could not be read
	ReasonNoEndpoints    Code = "no-ready-endpoints"   // nothing ready
	ReasonPort           Code = "port-name-mismatch"   // port names differ
	ReasonPortLost       Code = "port-name-lost"       // Cilium lost the port's name on the way
	ReasonProtocol       Code = "protocol-mismatch"    // protocols differ
	ReasonFamily         Code = "ip-family-mismatch"   // IP families differ
	ReasonAffinityLocal  Code = "affinity-local"       // the client prefers its own cluster
	ReasonAffinityRemote Code = "affinity-remote"      // the client prefers the others
	ReasonAffinityJunk   Code = "affinity-drops"       // the client's affinity value drops remote backends
	ReasonConflict       Code = "address-conflict"     // its addresses are those of another cluster's endpoints
	ReasonWeight         Code = "weight-zero"          // its EndpointSlices have weight 0
	ReasonHeadless       Code = "headless"             // DNS names local pods only
	ReasonPlaceholder    Code = "placeholder"          // its endpoint is the placeholder of its own L7 proxy
	ReasonTerminating    Code = "terminating"          // only terminating pods are left
)

// Reason is why one cluster is used or not. String says it in words.
type Reason struct {
	Cluster string
	Used    bool
	Code    Code
	Key     string   // annotation key that decided, if any
	Value   string   // its value, the frontend's port name, family or protocol, or the read error
	Ports   []string // port names or protocols that are there instead
	Total   int      // endpoints there, whether ready or not
}

// String says the reason in words, without the cluster's name: "not used, its port is named web, the client's http".
func (r Reason) String() string {
	switch r.Code {
	case ReasonLocal:
		return "used, the client's own cluster"
	case ReasonUsed:
		return "used, global and shared there"
	case ReasonNotGlobalHere:
		return "not used, the client's Service is not global" + r.annotation()
	case ReasonNotGlobalThere:
		return "not used, its Service is not global" + r.annotation()
	case ReasonNotShared:
		return "not used, its Service is not shared" + r.annotation()
	case ReasonMissing:
		return "not used, the Service does not exist there"
	case ReasonIgnoredThere:
		return "not used, its Cilium ignores the Service" + r.annotation()
	case ReasonNamespace:
		return "not used, its namespace is not global" + r.annotation()
	case ReasonNotPeer:
		return "not used, the client's cluster is not connected to it"
	case ReasonRefused:
		return "not used, the client's cluster refuses to connect to it: " + r.Value
	case ReasonConflict:
		return "not used, " + r.Value + " has endpoints with the same addresses"
	case ReasonUnread:
		return "unknown, it could not be read: " + r.Value
	case ReasonNoEndpoints:
		return "not used, " + NoneReady(r.Total)
	case ReasonPort:
		return fmt.Sprintf("not used, its port is named %s, the client's %s", names(r.Ports), name(r.Value))
	case ReasonPortLost:
		return fmt.Sprintf("not used, its port %s shares its target port with another port, and this Cilium version keeps only one of them", name(r.Value))
	case ReasonProtocol:
		if len(r.Ports) == 0 {
			return "not used, its endpoints have no port"
		}
		return fmt.Sprintf("not used, its port is %s, the client's %s", strings.Join(r.Ports, " or "), r.Value)
	case ReasonFamily:
		return "not used, it has no " + r.Value + " endpoints"
	case ReasonAffinityLocal:
		return "not used, the client's affinity is local and its own cluster has ready endpoints"
	case ReasonAffinityRemote:
		return "not used, the client's affinity is remote and other clusters have endpoints"
	case ReasonAffinityJunk:
		return fmt.Sprintf("not used, the client's affinity %q drops all remote backends in this Cilium version", r.Value)
	case ReasonWeight:
		return "not used, its EndpointSlices have weight 0"
	case ReasonPlaceholder:
		return "not used, its only endpoint is the placeholder of its own L7 proxy, where nothing listens"
	case ReasonHeadless:
		return "not used, the Service is headless and its remote endpoints are not mirrored"
	case ReasonTerminating:
		return "not used, its endpoints are terminating"
	}
	return string(r.Code)
}

// NoneReady says that none of a cluster's n endpoints is ready.
func NoneReady(n int) string {
	switch n {
	case 0:
		return "it has no endpoints"
	case 1:
		return "its only endpoint is not ready"
	}
	return fmt.Sprintf("none of its %d endpoints is ready", n)
}

func (r Reason) annotation() string {
	if r.Key == "" {
		return ""
	}
	return fmt.Sprintf(" (%s: %q)", r.Key, r.Value)
}

func name(port string) string {
	if port == "" {
		return "(unnamed)"
	}
	return port
}

func names(ports []string) string {
	out := make([]string, len(ports))
	for i, p := range ports {
		out[i] = name(p)
	}
	return strings.Join(out, " or ")
}
