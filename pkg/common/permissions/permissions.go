// Package permissions is the common part of the plugins' rbac commands: the form of a table of permissions, the manifests
// that grant them, and the page that explains them. It is pure. The table of a plugin is in the plugin.
package permissions

import (
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// Place says where a rule belongs.
type Place string

// The places of rules.
const (
	// InMeshNamespace is Cilium's namespace.
	InMeshNamespace Place = "Cilium's namespace"
	// InServices is the Services' namespace, or the cluster for those of all namespaces.
	InServices Place = "the Services' namespace, or the cluster"
	// InPods is the client pods' namespace.
	InPods Place = "the client pods' namespace, or the cluster"
	// InCluster is the cluster, for what is in no namespace.
	InCluster Place = "the cluster"
)

// Access is one permission that commands of a plugin need in every cluster that they read or, for those that
// write, change. Each plugin has one table of them: rbac prints manifests of it, docs/rbac.md holds it, and a
// test runs the commands with nothing else.
type Access struct {
	Group, Resource string
	// Names limits the rule to single objects.
	Names []string
	Verbs []string
	Place Place
	// Commands are those that need it; empty for all.
	Commands []string
	// Writes: for commands that change something only.
	Writes bool
	// Drain: for drain and undrain only. Its Names are those of the clusters that may be drained.
	Drain bool
	// For says what it is for, and Without what happens where it is not granted; an empty Without: the command fails.
	For, Without string
}

// Mesh are the permissions with which the clusters of a mesh are found. Every command of every plugin needs them.
func Mesh() []Access {
	return []Access{
		{Resource: "configmaps", Names: []string{cilium.ConfigMapName}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "the cluster's name, id and settings"},
		{Resource: "secrets", Names: []string{cilium.SecretClusterMesh}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "the peers", Without: "the peers come from ConfigMap " + cilium.ConfigMapRemoteUsers},
		{Resource: "configmaps", Names: []string{cilium.ConfigMapRemoteUsers}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "the peers, if the Secret may not be read", Without: "if the Secret may not be read either: the clusters must be named with `--contexts`, predictions are not certain, `drain` may need `--allow-partial`, and a drill may be refused"},
		{Group: "apps", Resource: "daemonsets", Names: []string{cilium.DaemonSetName}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "Cilium's version", Without: "all versions are taken into account"},
		{Group: "apps", Resource: "deployments", Names: []string{cilium.DeploymentMeshAPI}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "whether KVStoreMesh is on", Without: "it is shown as unknown"},
		{Resource: "namespaces", Names: []string{"kube-system"}, Verbs: []string{"get"}, Place: InCluster,
			For: "to detect that two contexts are one cluster, and that a cluster was rebuilt", Without: "contexts count as different clusters; `undrain` keeps the previous values of Services that do not exist"},
	}
}

// Rule returns the access as a rule of a manifest, in one line.
func (a Access) Rule() string {
	group := a.Group
	if group == "" {
		group = `""`
	}
	names := ""
	if len(a.Names) > 0 {
		names = ", resourceNames: [" + strings.Join(a.Names, ", ") + "]"
	}
	return "{apiGroups: [" + group + "], resources: [" + a.Resource + "]" + names + ", verbs: [" + strings.Join(a.Verbs, ", ") + "]}"
}

// Table returns a table of permissions as Markdown, for docs/rbac.md. who names the commands that need an access.
func Table(accesses []Access, who func(Access) string) string {
	var b strings.Builder
	b.WriteString("| who | where | rule | for | without it |\n|---|---|---|---|---|\n")
	for _, a := range accesses {
		without := a.Without
		if without == "" {
			without = "it fails, and prints the rule"
		}
		b.WriteString("| " + strings.Join([]string{who(a), string(a.Place), "`" + a.Rule() + "`", a.For, without}, " | ") + " |\n")
	}
	return b.String()
}
