// Package meshtest has the mesh that tests of several packages read answers and predictions from. Only tests import it.
package meshtest

import (
	"net/netip"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Snapshot returns two clusters with the global Service nginx. One pod and one node have the same name in both.
func Snapshot() (*routing.Snapshot, routing.Key) {
	key := routing.Key{Namespace: "default", Name: "nginx"}
	ep := func(pod, ip, node string) routing.Endpoint {
		return routing.Endpoint{Pod: pod, Addr: netip.MustParseAddr(ip), Node: node, Ready: true, Serving: true, Ports: []routing.Port{{Protocol: "TCP", Port: 80}}}
	}
	cluster := func(name string, eps ...routing.Endpoint) routing.Cluster {
		return routing.Cluster{Name: name, Context: "kind-" + name, PeersKnown: true, Peers: []string{"us", "eu"}, DefaultGlobalNamespace: true, Services: map[routing.Key]*routing.Service{key: {
			Key: key, Type: "ClusterIP", ClusterIPs: []netip.Addr{netip.MustParseAddr("172.20.1.5")},
			Annotations: map[string]string{"service.cilium.io/global": "true"},
			Ports:       []routing.Port{{Protocol: "TCP", Port: 80}}, Endpoints: eps,
		}}}
	}
	return &routing.Snapshot{Clusters: []routing.Cluster{
		cluster("us", ep("nginx-a", "10.1.1.2", "us-worker"), ep("nginx-b", "10.1.1.23", "us-worker2"), ep("web-0", "10.1.1.9", "shared-node")),
		cluster("eu", ep("nginx-aa", "10.2.1.2", "eu-worker"), ep("web-0", "10.2.1.9", "shared-node")),
	}}, key
}
