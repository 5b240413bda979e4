package routing

import (
	"fmt"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// noteCaveats adds what makes single clients differ from the shares, and what leaves open who answers.
func (d *Decision) noteCaveats(snap *Snapshot, c *Cluster, svc *Service) {
	if svc.SessionAffinity {
		d.Caveats = append(d.Caveats, "sessionAffinity is ClientIP: each client stays with one backend")
	}
	if svc.InternalLocal {
		d.Caveats = append(d.Caveats, "internalTrafficPolicy is Local: of the client's own cluster only the backends on the client's node are used; remote backends stay (read in Cilium's code, not documented)")
	}
	if svc.Topology && c.ServiceTopology {
		d.Caveats = append(d.Caveats, "the Service prefers endpoints near the client and the cluster heeds that (enable-service-topology): shares differ from node to node, and from Cilium 1.18 other clusters' endpoints are chosen by that too")
	}
	if svc.weighed() && cilium.RulesFor(c.Version)[0].SliceWeights && d.Kind == KindBalanced {
		d.Caveats = append(d.Caveats, "EndpointSlices of the client's cluster have "+cilium.AnnotationWeight+": with load balancing by maglev in Cilium 1.20 the shares follow it")
	}
	if c.Version.Known() && !c.Version.Judged() {
		d.Caveats = append(d.Caveats, fmt.Sprintf("Cilium %s is not among the versions whose rules are known here (1.15 to 1.20); the nearest one's are used", c.Version))
	}
	if cilium.L7Balanced(svc.Annotations) && d.Kind == KindBalanced {
		d.Caveats = append(d.Caveats, cilium.AnnotationL7+" is enabled: where Cilium has loadbalancer.l7.backend=envoy, the Envoy of the client's node picks an endpoint for each request, and the shares are those of requests")
	}
	d.noteUnknown(snap, c, svc)
}

// noteUnknown adds what leaves open who answers.
func (d *Decision) noteUnknown(snap *Snapshot, c *Cluster, svc *Service) {
	if !svc.Headless && svc.TotalEndpoints() < len(svc.Endpoints) {
		d.open("the Service also has the placeholder of an L7 proxy: on ports that Cilium redirects to the proxy, its routes say who answers")
	}
	for _, p := range unread(snap, c, svc) {
		d.open("the cluster also connects to " + p + ", which is not read: the shares leave it out")
	}
	for _, line := range sharedIDs(snap, c, svc) {
		d.open(line)
	}
	for _, name := range ownProxies(snap, c, svc) {
		d.open(name + " has k8s-service-proxy-name, which the chart does not hand to clustermesh-apiserver: Services without label " + cilium.LabelServiceProxyName + " are taken as exported, others not")
	}
	for _, name := range unsureExports(snap, c, svc) {
		d.open("the Cilium version of " + name + " is not known: before 1.18 its endpoints that serve and are not ready would not be used by others")
	}
}
