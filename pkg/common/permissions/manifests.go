package permissions

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// Grant says to whom the manifests grant which permissions.
type Grant struct {
	// Plugin begins the names of the roles, such as mesh-svc.
	Plugin string
	Write  bool
	// Namespace limits what is granted to the Services of one namespace; empty for all.
	Namespace string
	// Drain names the clusters that may be drained. Without any, the permissions for drain are left out.
	Drain []string
	// DrainName is the name of the object that a drain of a cluster needs, and of its role.
	DrainName func(cluster string) string
	// MeshNamespace is Cilium's.
	MeshNamespace string
	// Subjects are bound to the roles; without any there are no bindings.
	Subjects []rbacv1.Subject
}

// Manifests are the roles and bindings for one cluster, in the order in which they are printed.
type Manifests struct {
	ClusterRoles        []rbacv1.ClusterRole
	Roles               []rbacv1.Role
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	RoleBindings        []rbacv1.RoleBinding
}

// Manifests returns the minimal roles that grant the accesses. Permissions that a Role can grant are not in a ClusterRole. Permissions for the drain of a
// cluster are in a separate role, so that granting them to one subject does not change those of another.
func (g Grant) Manifests(accesses []Access) Manifests {
	rules := map[string][]rbacv1.PolicyRule{} // by namespace; "" is the cluster
	var drain []Access
	for _, a := range accesses {
		switch {
		case a.Writes && !g.Write:
		case a.Drain:
			drain = append(drain, a)
		default:
			where := g.place(&a)
			rules[where] = addRule(rules[where], a)
		}
	}
	var m Manifests
	g.add(&m, g.name(), rules)
	for _, cluster := range g.Drain {
		rules := map[string][]rbacv1.PolicyRule{}
		for _, a := range drain {
			if len(a.Names) > 0 {
				a.Names = []string{g.DrainName(cluster)}
			}
			where := g.place(&a)
			rules[where] = addRule(rules[where], a)
		}
		g.add(&m, g.DrainName(cluster), rules)
	}
	return m
}

// place returns the namespace in which an access is granted, "" for the cluster, and leaves of its verbs what can be granted there.
func (g Grant) place(a *Access) string {
	switch a.Place {
	case InServices, InPods:
		// Only get asks for one Namespace by its name, so only that can be granted in it.
		if a.Resource == "namespaces" && g.Namespace != "" {
			a.Verbs = []string{"get"}
		}
		return g.Namespace
	case InCluster:
		// A request for a Namespace counts as one in it, so that a Role there is enough.
		if a.Resource == "namespaces" && len(a.Names) == 1 && g.Namespace != "" {
			return a.Names[0]
		}
		return ""
	default:
		return g.MeshNamespace
	}
}

// add makes the roles of one name, and their bindings.
func (g Grant) add(m *Manifests, name string, rules map[string][]rbacv1.PolicyRule) {
	for _, ns := range slices.Sorted(maps.Keys(rules)) {
		meta := metav1.ObjectMeta{Name: name, Namespace: ns}
		bound := metav1.ObjectMeta{Name: g.bindingName(name), Namespace: ns}
		if ns == "" {
			m.ClusterRoles = append(m.ClusterRoles, rbacv1.ClusterRole{TypeMeta: kind("ClusterRole"), ObjectMeta: meta, Rules: rules[ns]})
			if len(g.Subjects) > 0 {
				m.ClusterRoleBindings = append(m.ClusterRoleBindings, rbacv1.ClusterRoleBinding{TypeMeta: kind("ClusterRoleBinding"), ObjectMeta: bound, Subjects: g.Subjects, RoleRef: ref("ClusterRole", name)})
			}
			continue
		}
		m.Roles = append(m.Roles, rbacv1.Role{TypeMeta: kind("Role"), ObjectMeta: meta, Rules: rules[ns]})
		if len(g.Subjects) > 0 {
			m.RoleBindings = append(m.RoleBindings, rbacv1.RoleBinding{TypeMeta: kind("RoleBinding"), ObjectMeta: bound, Subjects: g.Subjects, RoleRef: ref("Role", name)})
		}
	}
}

// name is that of the roles. One for each namespace, so that grants for several do not overwrite one another in Cilium's.
func (g Grant) name() string {
	name := g.Plugin + "-read"
	if g.Write {
		name = g.Plugin + "-write"
	}
	if g.Namespace != "" {
		name += "-" + g.Namespace
	}
	return name
}

// bindingName tells the subjects apart: a binding that is applied replaces those of the one with its name.
func (g Grant) bindingName(role string) string {
	h := fnv.New32a()
	for _, s := range g.Subjects {
		_, _ = fmt.Fprintf(h, "%s/%s/%s\n", s.Kind, s.Namespace, s.Name) // a hash never fails
	}
	return fmt.Sprintf("%s-%08x", role, h.Sum32())
}

// addRule adds the verbs of an access to a rule about the same objects, else a rule unless another covers it.
func addRule(rules []rbacv1.PolicyRule, a Access) []rbacv1.PolicyRule {
	add := rbacv1.PolicyRule{APIGroups: []string{a.Group}, Resources: []string{a.Resource}, ResourceNames: a.Names, Verbs: a.Verbs}
	about := func(r rbacv1.PolicyRule) bool {
		return slices.Equal(r.APIGroups, add.APIGroups) && slices.Equal(r.Resources, add.Resources)
	}
	if len(add.ResourceNames) == 0 {
		rules = slices.DeleteFunc(rules, func(r rbacv1.PolicyRule) bool {
			return about(r) && len(r.ResourceNames) > 0 && subset(r.Verbs, add.Verbs)
		})
	}
	for i, r := range rules {
		if len(r.ResourceNames) == 0 && about(r) && subset(add.Verbs, r.Verbs) {
			return rules
		}
		if about(r) && slices.Equal(r.ResourceNames, add.ResourceNames) {
			for _, v := range add.Verbs {
				if !slices.Contains(rules[i].Verbs, v) {
					rules[i].Verbs = append(slices.Clone(rules[i].Verbs), v)
				}
			}
			return rules
		}
	}
	return append(rules, add)
}

func subset(of, all []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(all, s) })
}

func kind(k string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: k}
}

func ref(k, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: k, Name: name}
}

// DefaultMeshNamespace is where Cilium is unless the user says otherwise.
const DefaultMeshNamespace = cilium.DefaultNamespace
