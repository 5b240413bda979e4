package probe

import (
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/helper"
)

// Accesses is the table of permissions that mesh-probe needs. rbac prints it as manifests, docs/rbac.md contains it, and a test runs a probe with
// these permissions only.
func Accesses() []permissions.Access {
	workload := "`--from` can name a pod, or another type"
	get := []string{"get"}
	out := append(permissions.Mesh(), []permissions.Access{
		{Resource: "namespaces", Verbs: get, Place: permissions.InServices,
			For: "whether the Service's namespace is global (1.20), and whether its label requests a proxy", Without: "the namespace counts as not annotated; predictions that depend on it are not certain, and a drill is then refused"},
		{Group: "multicluster.x-k8s.io", Resource: "serviceimports", Verbs: get, Place: permissions.InServices,
			For: "names of `clusterset.local`", Without: "there is no prediction for such a name"},
		{Resource: "services", Verbs: []string{"get", "list"}, Place: permissions.InServices,
			For: "the Service that is called, by name or address", Without: "there is no prediction, and an address is not recognized"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"list"}, Place: permissions.InServices,
			For: "endpoints, which identify answers", Without: "there is no prediction, and addresses and pod names are not recognized"},
		{Resource: "pods", Verbs: []string{"get", "list"}, Place: permissions.InPods,
			For: "the client pod"},
		{Resource: "pods/exec", Verbs: []string{"get", "create"}, Place: permissions.InPods,
			For: "sending requests from the client pod"},
	}...)
	for _, w := range [][2]string{{"apps", "deployments"}, {"apps", "statefulsets"}, {"apps", "daemonsets"}, {"apps", "replicasets"}, {"batch", "jobs"}} {
		out = append(out, permissions.Access{Group: w[0], Resource: w[1], Verbs: get, Place: permissions.InPods,
			For: "the workload that `--from` names", Without: workload})
	}
	return out
}

// AccessesOf returns what a probe needs, with the helpers of these kinds, as they were typed.
func AccessesOf(kinds []string) ([]permissions.Access, error) {
	out := Accesses()
	for _, k := range kinds {
		if k != string(helper.Ephemeral) && k != string(helper.Pod) {
			return nil, fmt.Errorf("--client %q: must be ephemeral or pod", k)
		}
		out = append(out, helper.Accesses(helper.Kind(k))...)
	}
	return out, nil
}

// AccessTable returns the table as Markdown, for docs/rbac.md.
func AccessTable(accesses []permissions.Access) string {
	return permissions.Table(accesses, func(a permissions.Access) string {
		if len(a.Commands) > 0 {
			return strings.Join(a.Commands, ", ")
		}
		return "a probe"
	})
}
