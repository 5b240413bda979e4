package reissue

import (
	"context"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
)

// gate decides when the next restart may begin.
type gate struct {
	work    *Work
	pending []string // clusters whose clustermesh-apiserver has not restarted yet: connections with them may be broken meanwhile
	now     map[string]Running
}

// restartAll replaces the pods of clustermesh-apiserver, one cluster after the other.
func (g *gate) restartAll(ctx context.Context) error {
	w := g.work
	for _, c := range w.restarting() {
		w.ui.Say("Restarting clustermesh-apiserver in %s.", c.name())
		s, err := w.restartMeshAPI(ctx, c.State)
		if err != nil {
			return w.stopped(fmt.Errorf("cluster %q: %w", c.name(), err))
		}
		if err := w.restartNow(ctx, s); err != nil {
			return err
		}
		g.pending = slices.DeleteFunc(g.pending, func(name string) bool { return name == c.name() })
		if err := w.await(ctx, "clustermesh-apiserver in "+c.name(), func(ctx context.Context) ([]string, error) { return g.missing(ctx, c) }); err != nil {
			return err
		}
	}
	return nil
}

func (w *Work) restartNow(ctx context.Context, s *ca.Write) error {
	w.written = append(w.written, s)
	if err := w.write(ctx, &change.Phase{Steps: []change.Step{s}}); err != nil {
		return w.stopped(err)
	}
	return nil
}

// missing says what is missing until the clustermesh-apiserver of a cluster is back: its pods, the CA that its etcd has read, and the connections of KVStoreMesh
// between clusters that do not restart any more.
func (g *gate) missing(ctx context.Context, c *cluster) ([]string, error) {
	left, err := g.work.rolledOut(ctx, c.State, change.Deployment, cilium.DeploymentMeshAPI)
	if err != nil || len(left) > 0 {
		return left, err
	}
	if left = g.look(ctx); len(left) > 0 {
		return left, nil
	}
	r := g.now[c.name()]
	for _, why := range append(r.EtcdBehind, r.Unobserved) {
		if why != "" {
			left = append(left, c.name()+": "+why)
		}
	}
	return append(left, g.disconnected(live.KindKVStoreMesh)...), nil
}

// look reads the clusters again, and observes their processes.
func (g *gate) look(ctx context.Context) []string {
	var members []*clusters.Member
	for _, s := range g.work.States {
		members = append(members, s.Member)
	}
	read := ca.ReadAll(ctx, members, g.work.Change.Timeout)
	var left []string
	for _, m := range read.Members {
		if m.Err != nil {
			left = append(left, fmt.Sprintf("%s could not be read: %v", m.Name, m.Err))
		}
	}
	for _, s := range read.States {
		g.work.refresh(s)
	}
	g.now = observeAll(ctx, g.work.Observer, g.work.States)
	return left
}

// disconnected says which connections of a kind of process are missing. A connection is expected between two clusters whose files say that they trust each
// other, if neither still has to restart, and to a cluster that was not read if there was one before.
func (g *gate) disconnected(kind string) []string {
	var out []string
	trusted := g.work.trusted()
	for _, s := range g.work.States {
		name := s.Member.Name
		if slices.Contains(g.pending, name) || kind == live.KindKVStoreMesh && !s.Side.KVStoreMesh() {
			continue
		}
		for _, peer := range sortedPeers(s) {
			if _, read := g.now[peer]; slices.Contains(g.pending, peer) || read && !trusted[[2]string{name, peer}] || !read && !connectedAll(g.work.before[name], kind, peer) {
				continue
			}
			out = append(out, g.connection(name, kind, peer)...)
		}
	}
	return out
}

// trusted are the pairs of client and server whose files say that they trust each other.
func (w *Work) trusted() map[[2]string]bool {
	sides := make([]pki.Side, len(w.States))
	for n, s := range w.States {
		sides[n] = s.Side
	}
	out := map[[2]string]bool{}
	for _, p := range pki.Matrix(sides, w.Clock.Now()) {
		out[[2]string{p.Client, p.Server}] = p.Verdict == pki.OK
	}
	return out
}

// unread says why the clustermesh-apiserver of a cluster must restart although nothing new is written for it, "" if there is no sign of this: a connection is missing
// between clusters whose files trust each other, and nobody can say that what runs has read them. A pod that started between the copy of a CA and the leaf certificates
// that it signed has read the previous file, and no time in the API tells.
func (w *Work) unread(s *ca.State, trusted map[[2]string]bool) string {
	if s.Side.MeshAPI == nil {
		return ""
	}
	name := s.Member.Name
	for _, other := range w.States {
		peer := other.Member.Name
		if peer == name {
			continue
		}
		if _, configured := other.Side.Peers[name]; configured && len(w.before[name].EtcdBehind) > 0 && trusted[[2]string{peer, name}] && disconnectedAny(w.before[peer], clientKind(other), name) {
			return fmt.Sprintf("%s is not connected, and etcd may not have read its CA file (%s)", peer, w.before[name].EtcdBehind[0])
		}
		if _, configured := s.Side.Peers[peer]; configured && s.Side.KVStoreMesh() && trusted[[2]string{name, peer}] && w.clientBehind(name, peer) {
			return fmt.Sprintf("KVStoreMesh is not connected to %s, and may not have read its CA file", peer)
		}
	}
	return ""
}

// clientKind is the kind of process that connects a cluster to the others.
func clientKind(s *ca.State) string {
	if s.Side.KVStoreMesh() {
		return live.KindKVStoreMesh
	}
	return live.KindAgent
}

// disconnectedAny reports whether a process is known to be disconnected from a peer.
func disconnectedAny(r Running, kind, peer string) bool {
	return slices.ContainsFunc(r.Connections, func(c Connection) bool { return c.Kind == kind && c.Peer == peer && !c.Connected && !c.Unknown })
}

// clientBehind reports whether a process of KVStoreMesh is not connected to a peer, and may not have read its CA file.
func (w *Work) clientBehind(name, peer string) bool {
	return slices.ContainsFunc(w.before[name].Connections, func(c Connection) bool {
		return c.Kind == live.KindKVStoreMesh && c.Peer == peer && !c.Connected && !c.Unknown && !c.Read
	})
}

// connection says what is missing of the connections of one cluster to a peer.
func (g *gate) connection(name, kind, peer string) []string {
	r, found := g.now[name], false
	var out []string
	for _, c := range r.Connections {
		if c.Kind != kind || c.Peer != peer && c.Peer != "" || g.work.unreachable[name][c.Pod] {
			continue
		}
		found = true
		if !c.Connected {
			why := ""
			if c.Why != "" {
				why = " (" + c.Why + ")"
			}
			out = append(out, fmt.Sprintf("%s: %s %s is not connected to %s%s", name, c.Kind, c.Pod, peer, why))
		}
	}
	if !found {
		why := r.Unobserved
		if why == "" {
			why = "no such process was found"
		}
		out = append(out, fmt.Sprintf("%s: cannot determine whether %s is connected to %s: %s", name, kind, peer, why))
	}
	return out
}

func connectedAll(r Running, kind, peer string) bool {
	found := false
	for _, c := range r.Connections {
		if c.Kind == kind && c.Peer == peer {
			if !c.Connected {
				return false
			}
			found = true
		}
	}
	return found
}

func sortedPeers(s *ca.State) []string {
	out := make([]string, 0, len(s.Side.Peers))
	for peer := range s.Side.Peers {
		if peer != s.Member.Name {
			out = append(out, peer)
		}
	}
	slices.Sort(out)
	return out
}

// agents restarts the agents of each cluster whose clustermesh-apiserver restarted, unless all of them have read the CA, and those that have lost their etcd. It
// ends when the agents of all these clusters are connected. A cluster whose agents an earlier roll-out still replaces is left out, and is the error at the end. But
// after a restart of this command that does not end well, no other one begins: it could fail in the same way.
func (g *gate) agents(ctx context.Context) error {
	w := g.work
	stuck, err := w.settle(ctx)
	if err != nil {
		return err
	}
	settled := func() []*cluster {
		return slices.DeleteFunc(w.withAgents(), func(c *cluster) bool { return stuck[c.name()] != "" })
	}
	// A barrier over all clusters: an agent that starts while KVStoreMesh is not connected loses the other clusters' backends.
	if err := w.await(ctx, "KVStoreMesh in all clusters", func(ctx context.Context) ([]string, error) {
		return append(g.look(ctx), g.disconnected(live.KindKVStoreMesh)...), nil
	}); err != nil {
		return err
	}
	w.findLost(g.now)
	behind := slices.DeleteFunc(settled(), func(c *cluster) bool { return g.agentsRead(c) })
	if err := w.timed(phaseAgents, behind, func() error {
		for _, c := range behind {
			w.ui.Say("Restarting the agents in %s.", c.name())
			s, err := w.restartAgents(ctx, c.State)
			if err != nil {
				return w.stopped(fmt.Errorf("cluster %q: %w", c.name(), err))
			}
			if err := w.restartNow(ctx, s); err != nil {
				return err
			}
			if err := w.awaitAgents(ctx, g, c); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, c := range settled() {
		if err := w.awaitAgents(ctx, g, c); err != nil {
			return err
		}
	}
	return w.unsettled(stuck)
}

func (w *Work) awaitAgents(ctx context.Context, g *gate, c *cluster) error {
	return w.await(ctx, "the agents in "+c.name(), func(ctx context.Context) ([]string, error) { return g.agentsMissing(ctx, c) })
}

// agentsRead reports whether all agents of a cluster have read the CA that their files have.
func (g *gate) agentsRead(c *cluster) bool {
	r := g.now[c.name()]
	for _, peer := range sortedPeers(c.State) {
		if !slices.ContainsFunc(r.Connections, func(k Connection) bool { return k.Kind == live.KindAgent && k.Peer == peer }) {
			return false
		}
	}
	unread := func(k Connection) bool { return k.Kind == live.KindAgent && !k.Read && (c.restarts || !k.Connected) }
	return r.Unobserved == "" && !slices.ContainsFunc(r.Connections, unread)
}

// findLost adds the clusters whose agents have lost their etcd, which shows only when KVStoreMesh is connected again: an earlier command may have ended between
// the restart of clustermesh-apiserver and that of the agents.
func (w *Work) findLost(now map[string]Running) {
	for _, r := range w.Renewals {
		if len(agentsLost(r.State, now[r.State.Member.Name])) == 0 {
			continue
		}
		if n := slices.IndexFunc(w.clusters, func(c *cluster) bool { return c.Renewal == r }); n >= 0 {
			w.clusters[n].lost = true
			continue
		}
		w.clusters = append(w.clusters, &cluster{Renewal: r, lost: true})
	}
}

// lost says why the agents of a cluster, or its clustermesh-apiserver, must be looked after although nothing else is to be done: an earlier command ended early.
func (w *Work) lost(ctx context.Context, s *ca.State) (bool, error) {
	if s.Side.MeshAPI == nil {
		return false, nil
	}
	for kind, name := range map[*change.Kind]string{&change.Deployment: cilium.DeploymentMeshAPI, &change.DaemonSet: cilium.DaemonSetName} {
		r, err := w.rollout(ctx, s, *kind, name)
		if err != nil || r.replacing || r.left != "" && kind == &change.Deployment { // an agent that is not available may have other reasons
			return true, err
		}
	}
	return len(agentsLost(s, w.before[s.Member.Name])) > 0, nil
}

// agentsLost names the peers that agents of a cluster are not connected to, although KVStoreMesh is there, or the cluster has none: their own etcd refuses them, or
// they refuse it.
func agentsLost(s *ca.State, r Running) []string {
	var out []string
	for _, peer := range sortedPeers(s) {
		lost := slices.ContainsFunc(r.Connections, func(c Connection) bool { return c.Kind == live.KindAgent && c.Peer == peer && !c.Connected })
		if lost && (!s.Side.KVStoreMesh() || connectedAll(r, live.KindKVStoreMesh, peer)) {
			out = append(out, peer)
		}
	}
	return out
}

// agentsMissing says what is missing until the agents of a cluster are back and connected.
func (g *gate) agentsMissing(ctx context.Context, c *cluster) ([]string, error) {
	left, err := g.work.rolledOut(ctx, c.State, change.DaemonSet, cilium.DaemonSetName)
	if err != nil || len(left) > 0 {
		return left, err
	}
	if left = g.look(ctx); len(left) > 0 {
		return left, nil
	}
	for _, why := range g.disconnected(live.KindAgent) {
		if len(why) > len(c.name()) && why[:len(c.name())+1] == c.name()+":" {
			left = append(left, why)
		}
	}
	return left, nil
}
