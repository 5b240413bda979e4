package routing

import (
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// noteCaveats adds what makes single clients differ from the shares.
func (d *Decision) noteCaveats(c *Cluster, svc *Service) {
	if svc.SessionAffinity {
		d.Caveats = append(d.Caveats, "sessionAffinity is ClientIP: each client stays with one backend")
	}
	if svc.InternalLocal {
		d.Caveats = append(d.Caveats, "internalTrafficPolicy is Local: in the client's own cluster only the backends on the client's node are used; remote backends are still used (read in Cilium's code, not documented)")
	}
	if svc.Topology && c.ServiceTopology {
		d.Caveats = append(d.Caveats, "the Service prefers endpoints near the client, and enable-service-topology is on: shares differ between nodes, and from Cilium 1.18 on this also affects other clusters' endpoints")
	}
	if svc.weighed() && cilium.RulesFor(c.Version)[0].SliceWeights && d.Kind == KindBalanced {
		d.Caveats = append(d.Caveats, "EndpointSlices of the client's cluster have "+cilium.AnnotationWeight+": with maglev load balancing in Cilium 1.20 the shares depend on it")
	}
	if c.Version.Known() && !c.Version.Judged() {
		d.Caveats = append(d.Caveats, fmt.Sprintf("the rules of Cilium %s are unknown here (known: 1.15 to 1.20); the rules of the nearest version are used", c.Version))
	}
	if cilium.L7Balanced(svc.Annotations) && d.Kind == KindBalanced {
		d.Caveats = append(d.Caveats, cilium.AnnotationL7+" is enabled: if Cilium has loadbalancer.l7.backend=envoy, the Envoy of the client's node picks an endpoint for each request, and the shares apply to requests")
	}
}

// doubtGates notes the clusters whose namespace may not be read, where that decides about who answers: endpoints that are used count as
// exported, and ungated returns what a cluster would offer if it exported the Service. localBackendsOnly says that clients would
// not use that.
func (d *Decision) doubtGates(snap *Snapshot, offers []offer, localBackendsOnly bool, ungated func(m *Cluster) offer) {
	var names []string
	for i, o := range offers {
		m := &snap.Clusters[i]
		if m.Name == d.Client || !m.GateUnknown(d.Service.Namespace) {
			continue
		}
		decides := o.use
		if o.reason.Code == ReasonNamespace && !localBackendsOnly {
			exported := ungated(m)
			decides = exported.use || exported.placeholder
		}
		if decides {
			names = append(names, o.cluster)
		}
	}
	if len(names) > 0 {
		d.open(fmt.Sprintf("cannot determine whether namespace %s is global in %s, because you have no permission to read it there: it counts as not annotated (Cilium 1.20)", d.Service.Namespace, strings.Join(names, ", ")))
	}
}

// noteUnknown adds what leaves open who answers. localBackendsOnly says that the client's affinity keeps out all remote backends: nothing that is unknown
// about other clusters decides then.
func (d *Decision) noteUnknown(snap *Snapshot, c *Cluster, svc *Service, localBackendsOnly bool) {
	if !svc.Headless && svc.TotalEndpoints() < len(svc.Endpoints) {
		d.open("the Service also has the placeholder of an L7 proxy: on ports that Cilium redirects to the proxy, its routes decide who answers")
	}
	remote := !localBackendsOnly && c.usesRemote(svc)
	for _, name := range disputed(snap, c, svc.Key, remote) {
		d.open("an address is in two EndpointSlices of the Service in " + name + ", with different conditions or ports: Cilium uses the slice that it reads last")
	}
	if !remote {
		return
	}
	if !c.PeersKnown {
		d.open("the peers of the cluster could not be read (Secret cilium-clustermesh or ConfigMap clustermesh-remote-users): it counts as connected to every cluster that was read, and to no other")
	}
	d.UnreadPeers = unread(snap, c)
	for _, p := range d.UnreadPeers {
		d.open("the cluster also connects to " + p + ", which is not read: the shares do not include it")
	}
	for _, line := range sharedIDs(snap, c) {
		d.open(line)
	}
	for _, name := range ownProxies(snap, c, svc.Key) {
		d.open(name + " has k8s-service-proxy-name, which the chart does not pass to clustermesh-apiserver: Services without the label " + cilium.LabelServiceProxyName + " count as exported, others do not")
	}
	for _, name := range unsureExports(snap, c, svc.Key) {
		d.open("the Cilium version of " + name + " is unknown: before 1.18 other clusters would not use its endpoints that serve but are not ready")
	}
}
