package globalsvc

import (
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// Place says where a rule belongs.
type Place string

// The places of rules.
const (
	// InMeshNamespace is Cilium's namespace.
	InMeshNamespace Place = "Cilium's namespace"
	// InServices is the Services' namespace, or the cluster for those of all namespaces.
	InServices Place = "the Services' namespace, or the cluster"
	// InCluster is the cluster, for what is in no namespace.
	InCluster Place = "the cluster"
)

// Access is one permission that commands of mesh-svc need in every cluster that they read or, for those that
// write, change. The table of them is the only one: rbac prints manifests of it, docs/rbac.md holds it, and a
// test takes each away in turn.
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

// the commands by what they read and write.
var (
	cmdDrain  = []string{"drain", "undrain"}
	cmdOne    = []string{"describe", "globalize", "unglobalize", "share", "unshare", "affinity", "undo"}
	cmdMany   = append([]string{"list", "check", "graph", "globalize", "unglobalize", "share", "unshare", "affinity"}, cmdDrain...)
	cmdRead   = append([]string{"describe"}, cmdMany...)
	cmdWrites = append([]string{"globalize", "unglobalize", "share", "unshare", "affinity", "undo"}, cmdDrain...)
)

// someCluster is the cluster whose drain the table shows. A name that Cilium takes: any other one is hashed.
const someCluster = "us"

// Accesses is the table.
func Accesses() []Access {
	return []Access{
		{Resource: "configmaps", Names: []string{cilium.ConfigMapName}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "the cluster's name, id and settings"},
		{Resource: "secrets", Names: []string{cilium.SecretClusterMesh}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "the peers", Without: "the peers come from ConfigMap " + cilium.ConfigMapRemoteUsers},
		{Resource: "configmaps", Names: []string{cilium.ConfigMapRemoteUsers}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "the peers, where the Secret may not be read", Without: "the clusters must be named with `--contexts`, if the Secret may not be read either"},
		{Group: "apps", Resource: "daemonsets", Names: []string{cilium.DaemonSetName}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "Cilium's version", Without: "all versions are taken into account"},
		{Group: "apps", Resource: "deployments", Names: []string{cilium.DeploymentMeshAPI}, Verbs: []string{"get"}, Place: InMeshNamespace,
			For: "whether KVStoreMesh is on", Without: "it is shown as unknown"},
		{Resource: "namespaces", Names: []string{"kube-system"}, Verbs: []string{"get"}, Place: InCluster,
			For: "to see that two contexts are one cluster, and that a cluster was rebuilt", Without: "contexts alone tell clusters apart; `undrain` keeps the former values of Services that are not there"},
		{Resource: "namespaces", Verbs: []string{"get", "list", "watch"}, Place: InServices, Commands: cmdRead,
			For: "whether a namespace is global (1.20)", Without: "it counts as not annotated"},
		{Resource: "services", Verbs: []string{"get"}, Place: InServices, Commands: cmdOne,
			For: "one Service that is named"},
		{Resource: "services", Verbs: []string{"list"}, Place: InServices, Commands: cmdMany,
			For: "several Services"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"list"}, Place: InServices, Commands: cmdRead,
			For: "endpoints"},
		{Resource: "services", Verbs: []string{"watch"}, Place: InServices, Commands: []string{"list --watch"},
			For: "changes of Services"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"watch"}, Place: InServices, Commands: []string{"list --watch"},
			For: "changes of endpoints"},
		{Resource: "services", Verbs: []string{"patch"}, Place: InServices, Commands: cmdWrites, Writes: true,
			For: "the annotations"},
		{Resource: "nodes", Verbs: []string{"list"}, Place: InCluster, Commands: []string{"check"},
			For: "pod CIDRs and addresses of nodes, where Cilium's IPAM is `kubernetes`; `--ignore` of these findings does without"},
		{Group: "cilium.io", Resource: "ciliumnodes", Verbs: []string{"list"}, Place: InCluster, Commands: []string{"check"},
			For: "the same with any other IPAM"},
		{Group: "networking.k8s.io", Resource: "networkpolicies", Verbs: []string{"list"}, Place: InServices, Commands: []string{"check"},
			For: "policies, where policy-default-local-cluster is on (1.19); `--ignore` of these findings does without"},
		{Group: "cilium.io", Resource: "ciliumnetworkpolicies", Verbs: []string{"list"}, Place: InServices, Commands: []string{"check"},
			For: "the same"},
		{Group: "cilium.io", Resource: "ciliumclusterwidenetworkpolicies", Verbs: []string{"list"}, Place: InCluster, Commands: []string{"check"},
			For: "the same"},
		{Resource: "configmaps", Names: []string{drainrecord.Name(someCluster)}, Verbs: []string{"get", "update", "delete"}, Place: InMeshNamespace, Commands: cmdDrain, Writes: true, Drain: true,
			For: "the former values, kept in another cluster; this is the name for cluster `" + someCluster + "`"},
		{Resource: "configmaps", Verbs: []string{"create"}, Place: InMeshNamespace, Commands: []string{"drain"}, Writes: true, Drain: true,
			For: "the same; create cannot be limited to a name"},
	}
}

// Rule returns the access as it stands in a manifest, in one line.
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

// who names the commands that need an access, for people.
func (a Access) who() string {
	switch {
	case len(a.Commands) == 0:
		return "every command"
	case a.Writes && !a.Drain:
		return "the writing commands"
	case a.Drain:
		return "`" + strings.Join(a.Commands, "`, `") + "`"
	}
	names := slices.DeleteFunc(slices.Clone(a.Commands), func(c string) bool { return slices.Contains(cmdWrites, c) })
	writes := slices.ContainsFunc(a.Commands, func(c string) bool { return slices.Contains(cmdWrites, c) })
	for i, n := range names {
		names[i] = "`" + n + "`"
	}
	if writes {
		names = append(names, "the writing commands")
	}
	return strings.Join(names, ", ")
}

// AccessTable returns the table as Markdown, for docs/rbac.md.
func AccessTable(accesses []Access) string {
	var b strings.Builder
	b.WriteString("| who | where | rule | for | without it |\n|---|---|---|---|---|\n")
	for _, a := range accesses {
		without := a.Without
		if without == "" {
			without = "it fails, and prints the rule"
		}
		b.WriteString("| " + strings.Join([]string{a.who(), string(a.Place), "`" + a.Rule() + "`", a.For, without}, " | ") + " |\n")
	}
	return b.String()
}
