package routing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// Unknown is something that could not be determined and may leave clients without an endpoint.
type Unknown struct {
	Text    string // with %s for the clusters to which it applies, unless it names them
	Cluster string
}

// The texts of an Unknown.
const (
	unknownPeers     = "the peers of %s are unknown"
	unknownNamespace = "namespaces may not be read in %s"
	unknownSlices    = "an address is in two EndpointSlices in %s, with different conditions or ports"
	unknownProxy     = "k8s-service-proxy-name is set in %s, and may also apply to exported Services"
)

// Worst returns the worst that a snapshot may mean for the clients of one cluster that lose another cluster's endpoints of a Service: everything that is
// unknown is taken to keep out the endpoints of the remaining clusters, and to leave those of the lost one in use. It also returns what is unknown.
// The snapshot is for these clients and this Service only, and is the same one if nothing is unknown. The input is not changed.
func (s *Snapshot) Worst(client, lost string, key Key) (*Snapshot, []Unknown) {
	c := s.Find(client)
	if c == nil || c.Services[key] == nil {
		return s, nil
	}
	w := worst{in: s, out: s, client: client, lost: lost}
	w.disputes(c, c.Services[key])
	if !c.usesRemote(c.Services[key]) {
		return w.out, w.unknown
	}
	if !c.PeersKnown {
		w.change(client, unknownPeers, func(c *Cluster) { c.Peers, c.PeersKnown = []string{lost}, true })
	}
	for i := range s.Clusters {
		m := &s.Clusters[i]
		if there := m.Services[key]; m.Name != client && there.offered() && c.peered(m.Name) {
			w.disputes(m, there)
			w.exports(m, there)
		}
	}
	for _, group := range s.sameIDs(c) {
		names := make([]string, len(group))
		for i, m := range group {
			names[i] = m.Name
		}
		kept := w.worstOf(group, c.Services[key])
		for _, m := range group {
			if m.Name != lost && m.Name != kept && m.Services[key].offered() {
				w.change(m.Name, fmt.Sprintf("%s have the same cluster-id %d", strings.Join(names, ", "), m.ID), func(m *Cluster) { m.Services = nil })
			}
		}
	}
	return w.out, w.unknown
}

// worstOf returns which of the clusters with the same cluster-id the clients' cluster connects to at worst, if its clients keep a backend whichever it is: the one
// with the fewest. It returns "" if it may connect to the lost one, or to one that does not answer on every port.
func (w *worst) worstOf(group []*Cluster, svc *Service) (name string) {
	c, fewest := w.out.Find(w.client), 0
	for _, m := range group {
		m = w.out.Find(m.Name)
		if m.Name == w.lost || !c.answered(svc, m) {
			return ""
		}
		if n := m.Services[svc.Key].ReadyEndpoints(); name == "" || n < fewest {
			name, fewest = m.Name, n
		}
	}
	return name
}

// answered reports whether the clients of c can use backends of m on every port, whatever the version of Cilium.
func (c *Cluster) answered(svc *Service, m *Cluster) bool {
	for _, fe := range svc.Frontends() {
		for _, rs := range cilium.RulesFor(c.Version) {
			if !remoteOffer(c, svc, m, fe, rs.Rules, false).use {
				return false
			}
		}
	}
	return true
}

// offered reports whether other clusters may use the endpoints of a Service, which may be nil.
func (s *Service) offered() bool {
	return s != nil && cilium.Global(s.Annotations).Value && cilium.Shared(s.Annotations).Value
}

// worst makes the snapshot of Snapshot.Worst. It is copied at the first change: nearly always there is none.
type worst struct {
	in, out      *Snapshot
	client, lost string
	unknown      []Unknown
}

func (w *worst) change(cluster, text string, change func(*Cluster)) {
	if w.out == w.in {
		w.out = &Snapshot{Clusters: slices.Clone(w.in.Clusters)}
	}
	change(w.out.Find(cluster))
	w.unknown = append(w.unknown, Unknown{text, cluster})
}

// disputes settles the endpoints of a cluster whose EndpointSlices contradict each other.
func (w *worst) disputes(m *Cluster, svc *Service) {
	remote := m.Name != w.client
	if !svc.disputed(remote) {
		return
	}
	settled := *svc
	settled.Endpoints = slices.Clone(svc.Endpoints)
	if m.Name == w.lost {
		for i := range settled.Endpoints {
			e := &settled.Endpoints[i]
			e.Ready = e.Ready || e.DisputedConditions
		}
	} else {
		settled.Endpoints = slices.DeleteFunc(settled.Endpoints, func(e Endpoint) bool { return e.disputed(remote) })
	}
	w.change(m.Name, unknownSlices, func(m *Cluster) { m.Services = map[Key]*Service{svc.Key: &settled} })
}

// exports settles whether a cluster exports the Service.
func (w *worst) exports(m *Cluster, svc *Service) {
	if m.GateUnknown(svc.Namespace) {
		global := map[string]string{cilium.AnnotationNamespaceGlobal: strconv.FormatBool(m.Name == w.lost)}
		w.change(m.Name, unknownNamespace, func(m *Cluster) { m.Namespaces = map[string]map[string]string{svc.Namespace: global} })
	}
	if m.ServiceProxyName != "" && m.Name != w.lost {
		w.change(m.Name, unknownProxy, func(m *Cluster) { m.Services = nil })
	}
}
