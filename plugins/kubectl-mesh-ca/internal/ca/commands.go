package ca

import (
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// tool is a command of another tool for the cluster. namespace is "" for none; the words are quoted here.
func (s *State) tool(name, namespace string, words ...string) string {
	flag := "--context"
	if name == "helm" {
		flag = "--kube-context"
	}
	out := []string{name, s.Member.At(flag)}
	if namespace != "" {
		out = append(out, "-n", clusters.Quote(namespace))
	}
	for _, w := range words {
		out = append(out, clusters.Quote(w))
	}
	return strings.Join(out, " ")
}

// kubectl is a command for Cilium's namespace of the cluster.
func (s *State) kubectl(words ...string) string { return s.tool("kubectl", s.Namespace, words...) }

// restart is the command that makes etcd read its CA file again.
func (s *State) restart() string {
	return s.kubectl("rollout", "restart", "deployment/clustermesh-apiserver")
}

// Status is the command that shows what became of the plan, in all clusters that it is about.
func (p *Plan) Status(members []*clusters.Member) string {
	all := slices.Clone(members)
	for _, s := range p.Others {
		all = append(all, s.Member)
	}
	return plugin(all, p.Again, "status")
}

// plugin is a command of mesh-ca for some clusters; more are flags of the connection, each after a blank.
func plugin(members []*clusters.Member, more string, words ...string) string {
	var contexts []string
	for _, m := range members {
		contexts = append(contexts, m.Context)
	}
	out := []string{"kubectl mesh-ca"}
	for _, w := range words {
		out = append(out, clusters.Quote(w))
	}
	return strings.Join(append(out, "--contexts", clusters.Quote(strings.Join(contexts, ","))), " ") + more
}
