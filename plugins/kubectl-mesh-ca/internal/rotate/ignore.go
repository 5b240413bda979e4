package rotate

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/live"
)

// Ignore is what the gates do not wait for, because a person wants it so. It is reported wherever it has an effect.
type Ignore struct {
	Nodes   []Node
	Clients []netip.Addr // of clients of etcd that do not belong to the mesh
	// Clusters took part in the rotation, and are gone for good. Their names are Cilium's.
	Clusters []string
}

// Node is a node of a cluster, whose agent is not waited for while it does not answer.
type Node struct{ Cluster, Name string }

func (n Node) String() string { return n.Cluster + "/" + n.Name }

// ParseIgnore reads the values of --ignore-node and --ignore-client.
func ParseIgnore(nodes, addresses []string) (Ignore, error) {
	var out Ignore
	for _, text := range nodes {
		at := strings.LastIndex(text, "/") // the name of a context may contain a slash
		if at <= 0 || at == len(text)-1 {
			return Ignore{}, fmt.Errorf("--ignore-node %q is invalid; it must be CLUSTER/NODE", text)
		}
		out.Nodes = append(out.Nodes, Node{text[:at], text[at+1:]})
	}
	for _, text := range addresses {
		address, err := netip.ParseAddr(text)
		if err != nil || address.IsLoopback() || address.IsUnspecified() {
			return Ignore{}, fmt.Errorf("--ignore-client %q is invalid; it must be the IP address from which a client outside the mesh connects to etcd", text)
		}
		out.Clients = append(out.Clients, address.Unmap())
	}
	return out, nil
}

// resolve names the clusters as Cilium does.
func (i Ignore) resolve(sel *clusters.Selection) (Ignore, error) {
	out := Ignore{Clients: i.Clients, Clusters: i.Clusters}
	for _, name := range i.Clusters {
		if slices.ContainsFunc(sel.Members, func(m *clusters.Member) bool { return name == m.Name || name == m.Context }) {
			return Ignore{}, fmt.Errorf("--ignore-cluster %s: the command reads this cluster; take it out of the mesh and of --contexts first; nothing was written", name)
		}
	}
	for _, n := range i.Nodes {
		found, err := sel.Resolve("--ignore-node", []string{n.Cluster})
		if err != nil {
			return Ignore{}, err
		}
		out.Nodes = append(out.Nodes, Node{found[0].Name, n.Name})
	}
	return out, nil
}

// words are the flags again, for printed commands.
func (i Ignore) words() []string {
	var out []string
	for _, n := range i.Nodes {
		out = append(out, "--ignore-node="+n.String())
	}
	for _, a := range i.Clients {
		out = append(out, "--ignore-client="+a.String())
	}
	for _, name := range i.Clusters {
		out = append(out, "--ignore-cluster="+name)
	}
	return out
}

// apply takes what is ignored out of what was seen of a cluster, and returns the number of nodes that this concerns. A node that answers is never left out.
func (i Ignore) apply(cluster string, seen *live.Observation, out *Running) (nodes int) {
	for _, n := range i.Nodes {
		on := func(f live.File) bool { return f.Node == n.Name }
		switch {
		case n.Cluster != cluster:
			continue
		case !slices.ContainsFunc(seen.Files, on):
			out.Answers = append(out.Answers, fmt.Sprintf("--ignore-node %s: no agent runs on this node; agents run on %s", n, strings.Join(agentNodes(seen.Files), ", ")))
			continue
		case slices.ContainsFunc(seen.Files, func(f live.File) bool { return on(f) && len(f.Certs) > 0 }):
			out.Answers = append(out.Answers, fmt.Sprintf("--ignore-node %s: the agent on this node answers", n))
			continue
		}
		nodes++
		out.Ignored = append(out.Ignored, fmt.Sprintf("%s: the agent on node %s does not answer (--ignore-node)", cluster, n.Name))
		seen.Files = slices.DeleteFunc(slices.Clone(seen.Files), on)
		seen.Clients = slices.DeleteFunc(slices.Clone(seen.Clients), func(c live.Client) bool { return c.Kind == live.KindAgent && c.Node == n.Name })
	}
	seen.Rejected = slices.DeleteFunc(slices.Clone(seen.Rejected), func(r live.Rejection) bool {
		remote, err := netip.ParseAddr(r.Remote)
		if err != nil || !slices.Contains(i.Clients, remote.Unmap()) {
			return false
		}
		text := fmt.Sprintf("%s: etcd rejects connections of %s (--ignore-client)", cluster, remote.Unmap())
		if !slices.Contains(out.Ignored, text) {
			out.Ignored = append(out.Ignored, text)
		}
		return true
	})
	return nodes
}

func agentNodes(files []live.File) []string {
	set := map[string]bool{}
	for _, f := range files {
		set[f.Node] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// addresses are those of the clients of a cluster.
func addresses(cluster string, clients []live.Client) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for _, c := range clients {
		for _, text := range c.Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				out[a.Unmap()] = fmt.Sprintf("%s %s in %s", c.Kind, c.Pod, cluster)
			}
		}
	}
	return out
}

// checkIgnored refuses to ignore what answers, what does not exist, and what belongs to the mesh.
func (r *run) checkIgnored() error {
	var why []string
	for _, c := range r.m.clusters {
		why = append(why, c.running.Answers...)
		for _, a := range r.Ignore.Clients {
			if who, ok := c.running.Addresses[a]; ok {
				why = append(why, fmt.Sprintf("--ignore-client %s: this is the address of %s, or of its node. Its connections must not be ignored", a, who))
			}
		}
	}
	for _, name := range r.Ignore.Clusters {
		if r.m.started && !r.m.tookPart(name) || r.Action == Start {
			why = append(why, fmt.Sprintf("--ignore-cluster %s: no cluster with this name takes part in a rotation that is under way", name))
		}
	}
	if len(why) == 0 {
		return nil
	}
	slices.Sort(why)
	return errors.New(strings.Join(slices.Compact(why), "; ") + "; nothing was written")
}

// noteIgnored remembers what was ignored in this run.
func (r *run) noteIgnored() {
	r.ignored = append(r.ignored, r.m.left(r.Ignore)...)
	for _, c := range r.m.clusters {
		r.ignored = append(r.ignored, c.running.Ignored...)
	}
	slices.Sort(r.ignored)
	r.ignored = slices.Compact(r.ignored)
}

// without says what the gates do not wait for at the moment; "" for nothing.
func (m *mesh) without() string {
	var out []string
	for _, c := range m.clusters {
		out = append(out, c.running.Ignored...)
	}
	return strings.Join(out, "; ")
}
