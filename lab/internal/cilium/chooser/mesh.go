package chooser

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Cluster is a member as it was read: the values that the rules decide over, and the objects they come from, for
// a chooser that reads objects by itself.
type Cluster struct {
	routing.Cluster
	Objects map[routing.Key]Objects
}

// Objects are a Service and the EndpointSlices that carry its name. They are shared and must not be changed.
type Objects struct {
	Service *corev1.Service
	Slices  []*discoveryv1.EndpointSlice
}

// snapshot is the mesh as package routing takes it.
func snapshot(mesh []Cluster) *routing.Snapshot {
	snap := &routing.Snapshot{Clusters: make([]routing.Cluster, len(mesh))}
	for i, c := range mesh {
		snap.Clusters[i] = c.Cluster
	}
	return snap
}

// view is the mesh as the clients of one cluster see it: their own cluster live but with the
// annotations that have had time to propagate, the others as they were published.
func view(live, published []Cluster, client string) []Cluster {
	mesh := slices.Clone(published)
	for i, own := range live {
		if own.Name == client {
			mesh[i] = ownView(own, published[i])
		}
	}
	return mesh
}

// ownView joins a cluster's live objects with its published annotations.
func ownView(live, published Cluster) Cluster {
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
	own.Objects = maps.Clone(live.Objects)
	for key, svc := range live.Services {
		if old := published.Services[key]; old != nil {
			joined := *svc
			joined.Annotations = old.Annotations
			svc = &joined
			if o, ok := own.Objects[key]; ok {
				object := *o.Service
				object.Annotations = old.Annotations
				own.Objects[key] = Objects{Service: &object, Slices: o.Slices}
			}
		}
		own.Services[key] = svc
	}
	return own
}
