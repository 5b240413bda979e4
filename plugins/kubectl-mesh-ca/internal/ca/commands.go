package ca

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// tool returns a command of another tool for the cluster; namespace may be "".
func (s *State) tool(name, namespace string, words ...string) string {
	return commandline.Tool(name, s.Member.Origin().At(), namespace, words...)
}

// kubectl returns a kubectl command for Cilium's namespace in the cluster.
func (s *State) kubectl(words ...string) string { return s.tool("kubectl", s.Namespace, words...) }

// restart returns the command after which etcd reads its CA file again.
func (s *State) restart() string {
	return s.kubectl("rollout", "restart", "deployment/clustermesh-apiserver")
}

// ReplacePod returns the command after which another pod takes the place of one.
func (s *State) ReplacePod(name string) string { return s.kubectl("delete", "pod", name) }

// plugin returns a command of mesh-ca for exactly these clusters.
func plugin(members []*clusters.Member, words ...string) string {
	return commandline.Plugin("kubectl mesh-ca", commandline.MeshOf(members), "", words...)
}

// Status returns the command that shows the result of the plan in all its clusters.
func (p *Plan) Status(members []*clusters.Member) string {
	all := slices.Clone(members)
	for _, s := range p.Others {
		all = append(all, s.Member)
	}
	return plugin(all, "status")
}
