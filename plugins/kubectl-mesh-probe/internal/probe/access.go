package probe

import "github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"

// Accesses is the table of what mesh-probe needs. rbac prints manifests of it, docs/rbac.md holds it, and a test runs a probe with nothing else.
func Accesses() []permissions.Access {
	workload := "`--from` can name a pod, or another type"
	get := []string{"get"}
	out := append(permissions.Mesh(), []permissions.Access{
		{Resource: "namespaces", Verbs: get, Place: permissions.InServices,
			For: "whether the Service's namespace is global (1.20), and whether its label asks for a proxy", Without: "it counts as not annotated"},
		{Group: "multicluster.x-k8s.io", Resource: "serviceimports", Verbs: get, Place: permissions.InServices,
			For: "names of `clusterset.local`", Without: "nothing is predicted for such a name"},
		{Resource: "services", Verbs: []string{"get", "list"}, Place: permissions.InServices,
			For: "the Service that is called, by its name or its address", Without: "nothing is predicted, and an address is not recognised"},
		{Group: "discovery.k8s.io", Resource: "endpointslices", Verbs: []string{"list"}, Place: permissions.InServices,
			For: "endpoints, by which answers are recognised", Without: "nothing is predicted, and addresses and pod names are not recognised"},
		{Resource: "pods", Verbs: []string{"get", "list"}, Place: permissions.InPods,
			For: "the client pod"},
		{Resource: "pods/exec", Verbs: []string{"get", "create"}, Place: permissions.InPods,
			For: "to send the requests from it"},
	}...)
	for _, w := range [][2]string{{"apps", "deployments"}, {"apps", "statefulsets"}, {"apps", "daemonsets"}, {"apps", "replicasets"}, {"batch", "jobs"}} {
		out = append(out, permissions.Access{Group: w[0], Resource: w[1], Verbs: get, Place: permissions.InPods,
			For: "the workload that `--from` names", Without: workload})
	}
	return out
}

// AccessTable returns the table as Markdown, for docs/rbac.md.
func AccessTable(accesses []permissions.Access) string {
	return permissions.Table(accesses, func(permissions.Access) string { return "a probe" })
}
