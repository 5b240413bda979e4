// Package graph makes the graph of which cluster serves whom, from the same predictions as describe. It is pure.
package graph

import (
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/report"
)

// Keys lists the Services that are global in at least one cluster.
func Keys(st *meshstate.State) []routing.Key {
	var out []routing.Key
	for _, key := range st.Keys() {
		for _, c := range st.Clusters {
			if svc := c.Services[key]; svc != nil && cilium.Global(svc.Annotations).Value {
				out = append(out, key)
				break
			}
		}
	}
	return out
}

// Build says who serves whom, by the same predictions as Describe, for each Service and for all of them together.
func Build(st *meshstate.State, members []*clusters.Member, keys []routing.Key) v1alpha1.MeshGraph {
	out := v1alpha1.MeshGraph{Document: clusters.Document("MeshGraph", members), Services: []v1alpha1.GraphService{}, Clusters: []v1alpha1.GraphCluster{}, Edges: []v1alpha1.GraphEdge{}}
	all := newEdges()
	nodes := map[string]*v1alpha1.GraphCluster{}
	for i := range st.Clusters {
		c := &st.Clusters[i]
		nodes[c.Name] = &v1alpha1.GraphCluster{Name: c.Name, Read: c.Gap == ""}
	}
	for _, key := range keys {
		own := newEdges()
		for _, c := range st.Clusters {
			if svc := c.Services[key]; svc != nil {
				nodes[c.Name].ReadyEndpoints += svc.ReadyEndpoints()
			}
		}
		for _, p := range report.Predict(&st.Snapshot, key) {
			own.add(p)
		}
		for name, kind := range own.without {
			count(nodes[name], kind)
		}
		for name, c := range own.clients {
			n := nodes[name]
			n.Services++
			if c.uncertain {
				n.Uncertain++
			}
			if !c.answered {
				n.Unanswered++
			}
		}
		list := own.list(st)
		all.merge(list)
		out.Services = append(out.Services, v1alpha1.GraphService{Namespace: key.Namespace, Name: key.Name, Edges: list})
	}
	for _, c := range st.Clusters {
		out.Clusters = append(out.Clusters, *nodes[c.Name])
	}
	out.Edges = append(out.Edges, all.list(st)...)
	return out
}

// count counts a Service for which no cluster's endpoints are chosen.
func count(n *v1alpha1.GraphCluster, kind routing.Kind) {
	n.Services++
	if kind == routing.KindProxied {
		n.Proxied++
		return
	}
	n.Unserved++
}

type clusterPair struct{ from, to string }

// edge gathers the shares of one clusterPair.
type edge struct {
	v1alpha1.GraphEdge
	sum   float64
	count int
	codes map[string]bool
}

// edges gathers those of one Service, or of all.
type edges struct {
	byPair map[clusterPair]*edge
	// clients holds the clusters for whose clients the prediction has shares.
	clients map[string]*client
	// without holds the clusters whose clients can resolve the Service, but no cluster's endpoints are chosen for them. The kind is the same for all ports.
	without map[string]routing.Kind
}

// client is what is predicted for the clients of one cluster.
type client struct {
	answered  bool // somebody answers or may answer
	uncertain bool
}

func newEdges() *edges {
	return &edges{byPair: map[clusterPair]*edge{}, clients: map[string]*client{}, without: map[string]routing.Kind{}}
}

func (e *edges) at(from, to string) *edge {
	p := clusterPair{from, to}
	if e.byPair[p] == nil {
		e.byPair[p] = &edge{GraphEdge: v1alpha1.GraphEdge{From: from, To: to, Low: 1}, codes: map[string]bool{}}
	}
	return e.byPair[p]
}

func (d *edge) put(low, high, share float64) {
	d.Low, d.High = min(d.Low, low), max(d.High, high)
	d.sum += share
	d.count++
}

// add takes in the prediction for one port of one Service.
func (e *edges) add(p v1alpha1.Prediction) {
	if len(p.Outcomes) == 0 {
		if kind := routing.Kind(p.Kind); kind != routing.KindMissing && kind != routing.KindUnread {
			e.without[p.Client] = kind
		}
		return
	}
	if e.clients[p.Client] == nil {
		e.clients[p.Client] = &client{}
	}
	c := e.clients[p.Client]
	c.uncertain = c.uncertain || !p.Complete
	c.answered = c.answered || !p.Complete // a cluster that was not read may answer
	for _, o := range p.Outcomes {
		for _, s := range o.Shares {
			d := e.at(p.Client, s.Cluster)
			d.codes[s.Code] = true
			if s.Share == nil {
				d.Unknown = 1
				c.answered = true
				continue
			}
			d.put(ptr.Deref(s.Low, *s.Share), ptr.Deref(s.High, *s.Share), *s.Share)
			if *s.Used {
				d.Services = 1
				d.Bounded = d.Bounded || s.Low != nil
				c.answered = true
			}
		}
	}
}

// merge adds the edges of one Service. A Service for which To answers no client is not counted, so it is not part of the shares.
func (e *edges) merge(list []v1alpha1.GraphEdge) {
	for _, s := range list {
		d := e.at(s.From, s.To)
		if s.Services > 0 {
			d.put(s.Low, s.High, *s.Share)
			d.Bounded = d.Bounded || s.Bounded
		}
		d.codes[s.Code] = true
		d.Services += s.Services
		d.Unknown += s.Unknown
	}
}

// list returns the edges in the members' order.
func (e *edges) list(st *meshstate.State) []v1alpha1.GraphEdge {
	var out []v1alpha1.GraphEdge
	for _, from := range st.Clusters {
		for _, to := range st.Clusters {
			d := e.byPair[clusterPair{from.Name, to.Name}]
			if d == nil {
				continue
			}
			switch {
			case d.count > 0:
				d.Share = ptr.To(d.sum / float64(d.count))
			case d.Unknown > 0:
				d.Low, d.High = 0, 1
			default:
				d.Low, d.Share = 0, ptr.To(0.0)
			}
			if d.Services == 0 && len(d.codes) == 1 {
				for code := range d.codes {
					d.Code = code
				}
			}
			out = append(out, d.GraphEdge)
		}
	}
	return out
}
