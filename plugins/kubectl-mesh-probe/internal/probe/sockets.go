package probe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// explainSockets warns about connections of which the cluster is unknown, and says why. The socket in the client pod has the address of the backend
// only if the datapath picks the backend when the socket connects.
func (r *run) explainSockets(c *client, snap *routing.Snapshot) {
	if !c.to.url.TCP() || c.tally.Unknown == 0 {
		return
	}
	var services []netip.Addr
	if snap != nil && c.to.found {
		if m := snap.Find(c.member.Name); m != nil && m.Services[c.to.key] != nil {
			services = m.Services[c.to.key].ClusterIPs
		}
	}
	c.result.Warnings = append(c.result.Warnings, socketReasons(c.tally.UnknownSamples(maxSamples), services)...)
}

// socketReasons says why the cluster of connections is unknown. services are the addresses of the Service in the client's cluster.
func socketReasons(samples []tally.UnknownSample, services []netip.Addr) []string {
	var out, others []string
	count := 0
	for _, s := range samples {
		to, err := netip.ParseAddrPort(s.Body)
		switch {
		case err != nil:
			out = append(out, fmt.Sprintf("the cluster of %d connections is unknown: the address of the socket could not be read from /proc/net/tcp in the client pod, which needs grep", s.Count))
		case slices.Contains(services, to.Addr()):
			out = append(out, fmt.Sprintf("the cluster of %d connections is unknown: the socket in the client pod shows the address of the Service (%s), not that of a backend. "+
				"This datapath does not pick backends at the socket (Cilium's Helm values socketLB.enabled and socketLB.hostNamespaceOnly decide that)", s.Count, to))
		default:
			count += s.Count
			others = append(others, to.String())
		}
	}
	if count > 0 {
		out = append(out, fmt.Sprintf("the cluster of %d connections is unknown: no cluster that was read has this address among the endpoints of the Service, or several have it: %s", count, strings.Join(others, ", ")))
	}
	return out
}
