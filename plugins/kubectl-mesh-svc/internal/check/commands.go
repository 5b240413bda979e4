package check

import (
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
)

// commands builds the commands that are printed for the clusters that were read.
type commands struct {
	members map[string]*clusters.Member
	mesh    commandline.Mesh
}

func newCommands(members []*clusters.Member) commands {
	return commands{members: membersByName(members), mesh: commandline.MeshOf(members)}
}

// context is the context by which other tools reach a cluster.
func (c commands) context(cl *routing.Cluster) commandline.Context {
	if m := c.members[cl.Name]; m != nil {
		return m.Origin().At()
	}
	return commandline.Context{Name: cl.Context}
}

func (c commands) contexts(cls []*routing.Cluster) []commandline.Context {
	out := make([]commandline.Context, len(cls))
	for i, cl := range cls {
		out[i] = c.context(cl)
	}
	return out
}

// kubectl is a command for one cluster. namespace is "" for objects without one.
func (c commands) kubectl(cl *routing.Cluster, namespace string, words ...string) string {
	return commandline.Tool("kubectl", c.context(cl), namespace, words...)
}

// change is a writing command on a Service. verb may have an argument and flags: "affinity none", "unglobalize --include-system".
func (c commands) change(verb string, key routing.Key, in []string, flags ...string) string {
	var words, more []string
	for _, w := range strings.Fields(verb) {
		if strings.HasPrefix(w, "-") {
			more = append(more, w)
			continue
		}
		words = append(words, w)
	}
	words = append(words, key.Name)
	if len(in) > 0 {
		words = append(words, "--in", c.mesh.Clusters(in...))
	}
	return plugin.Command(c.mesh, key.Namespace, append(append(words, more...), flags...)...)
}

// undrain ends the drain of a cluster.
func (c commands) undrain(cluster string) string {
	return plugin.Undrain(c.mesh, cluster)
}
