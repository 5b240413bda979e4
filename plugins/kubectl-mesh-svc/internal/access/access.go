// Package access is the table of the permissions that mesh-svc needs: docs/rbac.md shows it, and the command rbac grants from it.
package access

import (
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// the commands by what they read and write.
var (
	cmdDrain  = []string{"drain", "undrain"}
	cmdOne    = append([]string{"describe", "globalize", "unglobalize", "share", "unshare", "affinity", "undo"}, cmdDrain...)
	cmdMany   = append([]string{"list", "check", "graph", "globalize", "unglobalize", "share", "unshare", "affinity"}, cmdDrain...)
	cmdRead   = append([]string{"describe"}, cmdMany...)
	cmdWrites = append([]string{"globalize", "unglobalize", "share", "unshare", "affinity", "undo"}, cmdDrain...)
)

// someCluster is the cluster in the drain rows of the table. Cilium accepts this name; other names are hashed.
const someCluster = "us"

// All returns the table of the permissions that mesh-svc needs.
func All() []permissions.Access {
	return append(permissions.Mesh(), []permissions.Access{
		{Resource: "namespaces", Verbs: []string{"get", "list", "watch"}, Place: permissions.InServices, Commands: cmdRead,
			For: "whether a namespace is global (1.20), and keys on it that Cilium does not read", Without: "the namespace counts as not annotated; predictions that depend on it are not certain, `drain` then needs `--allow-partial`, and `check` exits with 2"},
		forCommands(annotate.AccessReadBack(), cmdOne...),
		{Resource: "services", Verbs: []string{"list"}, Place: permissions.InServices, Commands: cmdMany,
			For: "several Services"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"list"}, Place: permissions.InServices, Commands: cmdRead,
			For: "endpoints"},
		{Resource: "services", Verbs: []string{"watch"}, Place: permissions.InServices, Commands: []string{"list --watch"},
			For: "changes of Services"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"watch"}, Place: permissions.InServices, Commands: []string{"list --watch"},
			For: "changes of endpoints"},
		forCommands(annotate.Access(), cmdWrites...),
		{Resource: "nodes", Verbs: []string{"list"}, Place: permissions.InCluster, Commands: []string{"check"},
			For: "pod CIDRs and addresses of nodes, if Cilium's IPAM is `kubernetes`; not needed if `--ignore` names these findings"},
		{Group: "cilium.io", Resource: "ciliumnodes", Verbs: []string{"list"}, Place: permissions.InCluster, Commands: []string{"check"},
			For: "the same with any other IPAM"},
		{Group: "networking.k8s.io", Resource: "networkpolicies", Verbs: []string{"list"}, Place: permissions.InServices, Commands: []string{"check"},
			For: "policies, if policy-default-local-cluster is on (1.19); not needed if `--ignore` names these findings"},
		{Group: "cilium.io", Resource: "ciliumnetworkpolicies", Verbs: []string{"list"}, Place: permissions.InServices, Commands: []string{"check"},
			For: "the same"},
		{Group: "cilium.io", Resource: "ciliumclusterwidenetworkpolicies", Verbs: []string{"list"}, Place: permissions.InCluster, Commands: []string{"check"},
			For: "the same"},
		forCommands(drainrecord.Access(someCluster), cmdDrain...),
		forCommands(drainrecord.AccessCreate(), "drain"),
	}...)
}

// forCommands is the permission of a step, for the commands that take it.
func forCommands(a permissions.Access, commands ...string) permissions.Access {
	a.Commands = commands
	return a
}

// who names the commands that need an access, for people.
func who(a permissions.Access) string {
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

// Markdown returns the table as Markdown, for docs/rbac.md.
func Markdown(accesses []permissions.Access) string { return permissions.Table(accesses, who) }
