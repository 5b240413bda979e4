package drill

import (
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// access is a permission for objects of a kind, if kind is set.
type access struct {
	permissions.Access

	kind string
	with drillrecord.With
}

// accesses are the permissions for the objects that a drill writes, by their kind.
func accesses() []access {
	getPatch := []string{"get", "patch"}
	scale := func(kind, resource string) access {
		return access{permissions.Access{Group: "apps", Resource: resource, Verbs: getPatch, Place: permissions.InServices, Writes: true,
			For: "scaling the workload of the Service's pods to 0 and back (`--with scale`)", Without: "`--with scale` fails, and prints the rule"}, kind, drillrecord.Scale}
	}
	return []access{
		scale(change.Deployment.Name, "deployments"), scale(change.StatefulSet.Name, "statefulsets"), scale(change.ReplicaSet.Name, "replicasets"),
		{permissions.Access{Resource: "services", Verbs: getPatch, Place: permissions.InServices, Writes: true,
			For: "the annotation service.cilium.io/shared (`--with shared`)", Without: "`--with shared` fails, and prints the rule"}, change.Service.Name, drillrecord.Shared},
		{permissions.Access{Resource: "pods/eviction", Verbs: []string{"create"}, Place: permissions.InServices, Writes: true,
			For: "the eviction of the Service's pods (`--with evict`)", Without: "`--with evict` fails, and prints the rule"}, change.EvictedPod.Name, drillrecord.Evict},
	}
}

// accessTo is the permission for the objects of a kind.
func accessTo(kind string) permissions.Access {
	for _, a := range accesses() {
		if a.kind == kind {
			return a.Access
		}
	}
	return permissions.Access{}
}

// accessPods, accessBudgets, accessScalers and accessKEDA are what the plan reads.
func accessPods() permissions.Access {
	return permissions.Access{Resource: "pods", Verbs: []string{"get", "list"}, Place: permissions.InServices, Writes: true, For: "the Service's pods, and what controls them (`--with scale`, `--with evict`)", Without: "they fail, and print the rule"}
}

func accessBudgets() permissions.Access {
	return permissions.Access{Group: "policy", Resource: "poddisruptionbudgets", Verbs: []string{"list"}, Place: permissions.InServices, Writes: true, For: "whether the pods may be evicted (`--with evict`)", Without: "`--with evict` fails, and prints the rule"}
}

func accessScalers() permissions.Access {
	return permissions.Access{Group: "autoscaling", Resource: "horizontalpodautoscalers", Verbs: []string{"list"}, Place: permissions.InServices, Writes: true, For: "whether an autoscaler owns the replicas (`--with scale`)", Without: "`--with scale` fails, and prints the rule"}
}

func accessKEDA() permissions.Access {
	return permissions.Access{Group: "keda.sh", Resource: "scaledobjects", Verbs: []string{"list"}, Place: permissions.InServices, Writes: true, For: "whether KEDA owns the replicas (`--with scale`)", Without: "`--with scale` fails, and prints the rule"}
}

// Accesses is the table of permissions that a drill needs in addition to those of a probe. rbac --drill prints it as manifests, and docs/rbac.md
// contains it.
func Accesses() []permissions.Access {
	out := drillrecord.Accesses()
	for _, a := range accesses() {
		out = append(out, a.Access)
	}
	return append(out, accessPods(), accessBudgets(), accessScalers(), accessKEDA())
}

// AccessTable returns the table as Markdown, for docs/rbac.md.
func AccessTable() string {
	return permissions.Table(Accesses(), func(permissions.Access) string { return "`drill`" })
}
