package ca

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// tool is a command of another tool for the cluster; namespace is "" for none.
func (s *State) tool(name, namespace string, words ...string) string {
	return commandline.Tool(name, s.Member.CommandContext(), namespace, words...)
}

// kubectl is a command for Cilium's namespace of the cluster.
func (s *State) kubectl(words ...string) string { return s.tool("kubectl", s.Namespace, words...) }

// restart is the command that makes etcd read its CA file again.
func (s *State) restart() string {
	return s.kubectl("rollout", "restart", "deployment/clustermesh-apiserver")
}

// plugin is a command of mesh-ca for exactly these clusters.
func plugin(members []*clusters.Member, words ...string) string {
	return commandline.Plugin("kubectl mesh-ca", clusters.CommandMesh(members), "", words...)
}

// Status is the command that shows what became of the plan, in all clusters that it is about.
func (p *Plan) Status(members []*clusters.Member) string {
	all := slices.Clone(members)
	for _, s := range p.Others {
		all = append(all, s.Member)
	}
	return plugin(all, "status")
}
