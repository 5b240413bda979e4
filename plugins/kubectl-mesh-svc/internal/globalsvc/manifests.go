package globalsvc

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// Grant says for whom and for what manifests are made.
type Grant struct {
	Write bool
	// Namespace limits what is granted to the Services of one namespace; empty for all.
	Namespace string
	// Drain names the clusters that may be drained; what only that needs is left out without.
	Drain []string
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

// Manifests makes the least roles with which the accesses are granted. What a Role can hold is in no ClusterRole.
func (g Grant) Manifests(accesses []Access) Manifests {
	rules := map[string][]rbacv1.PolicyRule{} // by namespace; "" is the cluster
	for _, a := range accesses {
		if a.Writes && !g.Write || a.Drain && len(g.Drain) == 0 {
			continue
		}
		where, names := g.MeshNamespace, a.Names
		if a.Drain && len(names) > 0 {
			names = nil
			for _, c := range g.Drain {
				names = append(names, drainrecord.Name(c))
			}
		}
		switch a.Place {
		case InServices:
			where = g.Namespace
			// Only get asks for one Namespace by its name, so only that can be granted in it.
			if a.Resource == "namespaces" && where != "" {
				a.Verbs = []string{"get"}
			}
		case InCluster:
			// A request for a Namespace counts as one in it, so that a Role there is enough.
			if where = ""; a.Resource == "namespaces" && len(names) == 1 && g.Namespace != "" {
				where = names[0]
			}
		}
		rules[where] = addRule(rules[where], rbacv1.PolicyRule{APIGroups: []string{a.Group}, Resources: []string{a.Resource}, ResourceNames: names, Verbs: a.Verbs})
	}
	var m Manifests
	meta := metav1.ObjectMeta{Name: g.name()}
	if r := rules[""]; len(r) > 0 {
		m.ClusterRoles = append(m.ClusterRoles, rbacv1.ClusterRole{TypeMeta: kind("ClusterRole"), ObjectMeta: meta, Rules: r})
		if len(g.Subjects) > 0 {
			m.ClusterRoleBindings = append(m.ClusterRoleBindings, rbacv1.ClusterRoleBinding{TypeMeta: kind("ClusterRoleBinding"), ObjectMeta: meta, Subjects: g.Subjects, RoleRef: ref("ClusterRole", meta.Name)})
		}
	}
	for _, ns := range sortedKeys(rules) {
		if ns == "" {
			continue
		}
		meta := metav1.ObjectMeta{Name: g.name(), Namespace: ns}
		m.Roles = append(m.Roles, rbacv1.Role{TypeMeta: kind("Role"), ObjectMeta: meta, Rules: rules[ns]})
		if len(g.Subjects) > 0 {
			m.RoleBindings = append(m.RoleBindings, rbacv1.RoleBinding{TypeMeta: kind("RoleBinding"), ObjectMeta: meta, Subjects: g.Subjects, RoleRef: ref("Role", meta.Name)})
		}
	}
	return m
}

// name is that of all objects. One for each namespace, so that grants for several do not overwrite one another in Cilium's.
func (g Grant) name() string {
	name := "mesh-svc-read"
	if g.Write {
		name = "mesh-svc-write"
	}
	if g.Namespace != "" {
		name += "-" + g.Namespace
	}
	return name
}

// addRule adds the verbs of a rule to one about the same objects, else the rule unless another covers it.
func addRule(rules []rbacv1.PolicyRule, add rbacv1.PolicyRule) []rbacv1.PolicyRule {
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
