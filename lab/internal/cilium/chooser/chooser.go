// Package chooser replaces Cilium's agents and clustermesh-apiserver of a real mesh: it
// watches the Services of all clusters and sets, for the clients of each cluster and each
// service address, the backends that new connections go to. Which backends these are is not
// decided here but by a Chooser: Rules is package routing, Cilium is Cilium's own code in another process.
//
// What imitates Cilium here is the delay. A client's own cluster is seen as it is, save for its
// annotations; everything else, and every annotation, as it was one propagation delay ago. So a pod
// that dies is left at once by clients of its own cluster and a little later by the
// others, and an annotation takes the delay everywhere.
// A cluster whose API server is gone keeps its last known state for ever, as in Cilium without clustermesh.cacheTTL.
package chooser

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Chooser says who answers the clients of one cluster. After an error the backends of before stay.
type Chooser interface {
	Choose(ctx context.Context, mesh []Cluster, client string) ([]Choice, error)
}

// Choice is one service address and port of the client's cluster and what is behind it.
type Choice struct {
	Service  routing.Key
	Frontend routing.Frontend
	Backends []netip.AddrPort
}

// Rules chooses by package routing.
type Rules struct{}

// Choose decides every balanced frontend of the client's cluster.
func (Rules) Choose(_ context.Context, mesh []Cluster, client string) ([]Choice, error) {
	snap := snapshot(mesh)
	c := snap.Find(client)
	if c == nil {
		return nil, fmt.Errorf("cluster %q is not in the snapshot", client)
	}
	var out []Choice
	for _, key := range snap.Keys() {
		svc := c.Services[key]
		if svc == nil {
			continue
		}
		for _, fe := range svc.Frontends() {
			d := routing.Decide(snap, client, key, fe)
			if d.Kind != routing.KindBalanced {
				continue
			}
			choice := Choice{Service: key, Frontend: fe}
			for _, b := range backends(d) {
				choice.Backends = append(choice.Backends, b.Addr)
			}
			out = append(out, choice)
		}
	}
	return out, nil
}

// backends are those of a decision. Several outcomes mean that the Cilium version of the
// cluster is not known; the first is the newest version's.
func backends(d routing.Decision) []routing.Backend {
	if len(d.Outcomes) == 0 {
		return nil
	}
	return d.Outcomes[0].Backends
}
