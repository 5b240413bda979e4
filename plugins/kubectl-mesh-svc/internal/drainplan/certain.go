package drainplan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/parallel"
)

// loss is what a drain takes from the clients of one Service.
type loss struct {
	clients        []string // the clusters whose clients would have no endpoint, some with the ports
	mayHaveBackend bool     // they may have one, because something is unknown
}

// losses names, for each Service, the clusters whose clients have a ready endpoint now and would have none if the given cluster did not
// share it. Clusters without a ready endpoint now do not count, and neither do terminating endpoints.
func losses(snap *routing.Snapshot, cluster string, keys []routing.Key) map[routing.Key]loss {
	out := map[routing.Key]loss{}
	for _, part := range parallel.Map(keys, func(keys []routing.Key) map[routing.Key]loss {
		before, after := drained(snap, cluster, keys)
		out := map[routing.Key]loss{}
		for _, key := range keys {
			if l := lossOf(before, after, cluster, key); len(l.clients) > 0 {
				out[key] = l
			}
		}
		return out
	}) {
		maps.Copy(out, part)
	}
	return out
}

// lossOf is losses for one Service, in the snapshots that drained returns.
func lossOf(before, after *routing.Snapshot, cluster string, key routing.Key) loss {
	var l loss
	for i := range before.Clusters {
		client := &before.Clusters[i]
		if client.Name == cluster || client.Services[key] == nil {
			continue
		}
		lost, mayHave := lostPorts(before, after, client.Name, key)
		l.mayHaveBackend = l.mayHaveBackend || mayHave
		switch {
		case len(lost) == 0:
		case len(lost) == len(client.Services[key].Frontends()):
			l.clients = append(l.clients, client.Name)
		default:
			l.clients = append(l.clients, client.Name+" (port "+strings.Join(lost, "; ")+")")
		}
	}
	return l
}

// drained returns the ready endpoints of Services now, and with a cluster that does not share them.
func drained(snap *routing.Snapshot, cluster string, keys []routing.Key) (before, after *routing.Snapshot) {
	before = snap.ReadyOnly(keys)
	changed := map[routing.Key]*routing.Service{}
	for _, key := range keys {
		changed[key] = annotated(before.Find(cluster).Services[key], annotate.Values{cilium.AnnotationShared: ptr.To(drainrecord.Unshared)})
	}
	return before, before.WithServices(cluster, changed)
}

// lostPorts lists the ports and families on which the clients of a cluster have a backend before a change, and none after it. mayHaveBackend
// says that they may have one, because something is unknown.
func lostPorts(before, after *routing.Snapshot, client string, key routing.Key) (lost []string, mayHaveBackend bool) {
	for _, fe := range before.Find(client).Services[key].Frontends() {
		for _, t := range transitions(before, after, client, key, fe) {
			if len(t.before.Backends) > 0 && len(t.after.Backends) == 0 {
				lost, mayHaveBackend = append(lost, fmt.Sprintf("%d/%s, %s", fe.Port.Port, fe.Protocol, fe.Family())), mayHaveBackend || t.incompleteAfter
				break
			}
		}
	}
	return lost, mayHaveBackend
}

// Uncertain says why it cannot be predicted whether clients would be left without an endpoint: members that could not be read, peers of the
// drained cluster that are unknown or have no context, whatever else is unknown and decides about it, and nodes, which nobody reads.
func Uncertain(st *meshstate.State, m *clusters.Member) []string {
	var out []string
	for i := range st.Clusters {
		if c := &st.Clusters[i]; c.Gap != "" && c.Name != m.Name {
			out = append(out, fmt.Sprintf("%s could not be read (%s)", c.Name, c.Gap))
		}
	}
	for _, p := range m.Peers {
		if st.Find(p) == nil {
			out = append(out, p+" is a peer, but was not read")
		}
	}
	if !m.PeersKnown {
		out = append(out, "the peers of "+m.Name+" are unknown")
	}
	keys := slices.DeleteFunc(servicesOf(st, m.Name), func(key routing.Key) bool {
		svc := st.Find(m.Name).Services[key]
		return exempt.Always(actionDrain, key, svc.Labels) != "" || !cilium.Shared(svc.Annotations).Value
	})
	return append(out, uncertainServices(&st.Snapshot, m.Name, keys)...)
}

// uncertainServices names the Services whose clients may be left without an endpoint, because of what is unknown or on some of their nodes. Those whose clients are
// left without one for certain are refused, whatever else is unknown.
func uncertainServices(snap *routing.Snapshot, cluster string, keys []routing.Key) []string {
	var rs reasons
	for _, part := range parallel.Map(keys, func(keys []routing.Key) []doubt {
		before, after := drained(snap, cluster, keys)
		var out []doubt
		for _, key := range keys {
			// Nearly always nothing is unknown, and what is lost for certain need not be predicted again.
			if d := doubtOf(before, after, cluster, key); (len(d.unknown) > 0 || len(d.onNodes) > 0) && len(lossOf(before, after, cluster, key).clients) == 0 {
				out = append(out, d)
			}
		}
		return out
	}) {
		for _, d := range part {
			for _, u := range d.unknown {
				rs.at(u.Text+", and clients of %s may have no other endpoint").add(u.Cluster, d.service)
			}
			for _, client := range d.onNodes {
				rs.at(onNodes).add(client, d.service)
			}
		}
	}
	return rs.lines()
}

// onNodes is the text of a reason: nobody reads nodes.
const onNodes = "in %s, clients on nodes without an endpoint of %s would have no other one (internalTrafficPolicy is Local), and nodes are not read"

// doubt is why clients of a Service may be left without an endpoint.
type doubt struct {
	service string
	unknown []routing.Unknown
	onNodes []string // clusters: clients on some of their nodes
}

// doubtOf looks for what may leave clients of a Service without an endpoint, in the snapshots that drained returns.
func doubtOf(before, after *routing.Snapshot, cluster string, key routing.Key) doubt {
	d := doubt{service: key.String()}
	for i := range before.Clusters {
		client := &before.Clusters[i]
		if client.Name == cluster || client.Services[key] == nil {
			continue
		}
		if lostOnNodes(before, after, client.Name, key) {
			d.onNodes = append(d.onNodes, client.Name)
			continue
		}
		worstBefore, why := before.Worst(client.Name, cluster, key)
		if len(why) == 0 {
			continue
		}
		worstAfter, _ := after.Worst(client.Name, cluster, key)
		if lost, _ := lostPorts(worstBefore, worstAfter, client.Name, key); len(lost) > 0 || lostOnNodes(worstBefore, worstAfter, client.Name, key) {
			d.unknown = append(d.unknown, why...)
		}
	}
	return d
}

// lostOnNodes reports whether clients may be left without an endpoint on some of their nodes; see Snapshot.OnEmptyNodes.
func lostOnNodes(before, after *routing.Snapshot, client string, key routing.Key) bool {
	nodesBefore, nodesAfter := before.OnEmptyNodes(client, key), after.OnEmptyNodes(client, key)
	if nodesBefore == nil || nodesAfter == nil {
		return false
	}
	with, _ := lostPorts(before, after, client, key)
	without, _ := lostPorts(nodesBefore, nodesAfter, client, key)
	return len(without) > len(with)
}

// reason is something that is unknown, with all clusters and Services to which it applies.
type reason struct {
	text               string // with %s for the clusters, unless it names them, and for the Services
	clusters, services []string
}

func (r *reason) add(cluster, service string) {
	if !slices.Contains(r.clusters, cluster) {
		r.clusters = append(r.clusters, cluster)
	}
	if n := len(r.services); n == 0 || r.services[n-1] != service { // they come in order
		r.services = append(r.services, service)
	}
}

func (r *reason) String() string {
	lists := []any{annotate.List(slices.Sorted(slices.Values(r.clusters)), namedInReason), annotate.List(r.services, namedInReason)}
	return fmt.Sprintf(r.text, lists[2-strings.Count(r.text, "%s"):]...)
}

// reasons has one reason for each text, in the order in which they are found. A mesh with many clusters and Services has no more of them than a small one.
type reasons struct{ list []*reason }

func (rs *reasons) at(text string) *reason {
	for _, r := range rs.list {
		if r.text == text {
			return r
		}
	}
	rs.list = append(rs.list, &reason{text: text})
	return rs.list[len(rs.list)-1]
}

// lines returns the first reasons; the rest is counted.
func (rs *reasons) lines() []string {
	var out []string
	for i, r := range rs.list {
		if i == maxReasons {
			return append(out, fmt.Sprintf("and %d more", len(rs.list)-i))
		}
		out = append(out, r.String())
	}
	return out
}

const (
	maxReasons    = 3
	namedInReason = 5 // how many clusters and Services a reason names; the rest is counted
)
