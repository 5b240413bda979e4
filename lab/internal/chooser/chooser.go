// Package chooser stands where Cilium's agents and clustermesh-apiserver stand in a real mesh: it
// watches the Services of all clusters and sets, for the clients of each cluster and each
// service address, the backends that new connections go to. Which backends these are is not
// decided here but by a Chooser; the usual one is package routing.
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
	"maps"
	"net/netip"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Chooser says who answers the clients of one cluster. A second implementation may ask
// Cilium's own code in another process; hence whole snapshots and an error.
type Chooser interface {
	Choose(ctx context.Context, snap *routing.Snapshot, client string) ([]Choice, error)
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
func (Rules) Choose(_ context.Context, snap *routing.Snapshot, client string) ([]Choice, error) {
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

// view is the mesh as the clients of one cluster see it: their own cluster live but with the
// annotations that have had time to propagate, the others as they were published.
func view(live, published []routing.Cluster, client string) *routing.Snapshot {
	snap := &routing.Snapshot{Clusters: make([]routing.Cluster, len(published))}
	copy(snap.Clusters, published)
	for i := range snap.Clusters {
		if snap.Clusters[i].Name == client {
			snap.Clusters[i] = ownView(live[i], published[i])
		}
	}
	return snap
}

// ownView joins a cluster's live objects with its published annotations.
func ownView(live, published routing.Cluster) routing.Cluster {
	if published.Gap != "" || live.Gap != "" {
		return live
	}
	own := live
	own.Peers, own.PeersKnown = published.Peers, published.PeersKnown
	own.Namespaces = maps.Clone(live.Namespaces)
	for name := range own.Namespaces {
		if ann, ok := published.Namespaces[name]; ok {
			own.Namespaces[name] = ann
		}
	}
	own.Services = make(map[routing.Key]*routing.Service, len(live.Services))
	for key, svc := range live.Services {
		if old := published.Services[key]; old != nil {
			joined := *svc
			joined.Annotations = old.Annotations
			svc = &joined
		}
		own.Services[key] = svc
	}
	return own
}
