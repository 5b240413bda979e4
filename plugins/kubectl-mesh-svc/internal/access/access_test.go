package access

import (
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions/permissionstest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

var update = flag.Bool("update", false, "update generated files")

// TestDocumentedAccess keeps the table in docs/rbac.md equal to the one that rbac prints.
func TestDocumentedAccess(t *testing.T) {
	t.Parallel()
	want := Markdown(All())
	if name := "resourceNames: [kubectl-mesh-drain-us]"; !strings.Contains(want, name) {
		t.Errorf("the record of a drain of us is not called as it is: no %s", name)
	}
	permissionstest.Documented(t, filepath.Join("..", "..", "..", "..", "docs", "rbac.md"), "kubectl-mesh-svc/internal/access", want, *update)
}

// grant completes a grant as the command does.
func grant(g permissions.Grant) permissions.Grant {
	g.Plugin, g.DrainName = "mesh-svc", drainrecord.Name
	return g
}

// lines shows what manifests grant, one rule a line.
func ruleLines(m permissions.Manifests) []string {
	var out []string
	rules := func(where string, rs []rbacv1.PolicyRule) {
		for _, r := range rs {
			line := where + ": " + strings.Join(r.Verbs, ",") + " " + strings.Join(r.Resources, ",")
			if len(r.ResourceNames) > 0 {
				line += " " + strings.Join(r.ResourceNames, ",")
			}
			out = append(out, line)
		}
	}
	for _, r := range m.ClusterRoles {
		rules("cluster", r.Rules)
	}
	for _, r := range m.Roles {
		rules(r.Namespace, r.Rules)
	}
	return out
}

func TestManifests(t *testing.T) {
	t.Parallel()
	read := grant(permissions.Grant{MeshNamespace: "cilium"}).Manifests(All())
	if got := ruleLines(read); !slices.Contains(got, "cluster: get,list,watch namespaces") || slices.Contains(got, "cluster: get namespaces kube-system") {
		t.Errorf("a rule that another covers, or none: %q", got)
	}
	if len(read.RoleBindings)+len(read.ClusterRoleBindings) != 0 {
		t.Error("bindings without subjects")
	}
	one := grant(permissions.Grant{MeshNamespace: "cilium", Namespace: "shop", Write: true, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "jane"}}}).Manifests(All())
	got := ruleLines(one)
	for _, want := range []string{"shop: get,list,watch,patch services", "shop: get namespaces", "kube-system: get namespaces kube-system", "cilium: get secrets cilium-clustermesh"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is not granted: %q", want, got)
		}
	}
	if want := []string{"cluster: list nodes", "cluster: list ciliumnodes", "cluster: list ciliumclusterwidenetworkpolicies"}; !slices.Equal(got[:3], want) || len(one.RoleBindings) != len(one.Roles) {
		t.Errorf("%d ClusterRoles, %d bindings of %d Roles", len(one.ClusterRoles), len(one.RoleBindings), len(one.Roles))
	}
	drain := ruleLines(grant(permissions.Grant{MeshNamespace: "cilium", Write: true, Drain: []string{"us", "eu"}}).Manifests(All()))
	for _, want := range []string{"cilium: get,update,delete configmaps kubectl-mesh-drain-us", "cilium: get,update,delete configmaps kubectl-mesh-drain-eu", "cilium: create configmaps"} {
		if !slices.Contains(drain, want) || slices.Contains(got, want) {
			t.Errorf("%q is granted for a drain only: %q", want, drain)
		}
	}
	for _, m := range []permissions.Manifests{read, one} {
		for _, line := range ruleLines(m) {
			if strings.Contains(line, "secrets") && !strings.HasSuffix(line, ": get secrets cilium-clustermesh") {
				t.Errorf("Secrets are read by name: %q", line)
			}
			if len(m.RoleBindings) == 0 && (strings.Contains(line, "patch") || strings.Contains(line, "create")) {
				t.Errorf("a read-only grant writes: %q", line)
			}
		}
	}
}

// TestGrantsSideBySide applies one grant after another, as kubectl apply does: neither takes from the other.
func TestGrantsSideBySide(t *testing.T) {
	t.Parallel()
	group := func(name string) []rbacv1.Subject { return []rbacv1.Subject{{Kind: rbacv1.GroupKind, Name: name}} }
	roles, bindings := map[string]int{}, map[string]string{}
	for _, g := range []permissions.Grant{
		{Write: true, Drain: []string{"us"}, Subjects: group("on-call")},
		{Write: true, Subjects: group("sre")},
		{Write: true, Drain: []string{"eu"}, Subjects: group("sre")},
		{Subjects: group("sre")},
	} {
		g.MeshNamespace = "cilium"
		m := grant(g).Manifests(All())
		for _, r := range m.Roles {
			if n, ok := roles[r.Name]; ok && n != len(r.Rules) {
				t.Errorf("Role %s has other rules for %s", r.Name, g.Subjects[0].Name)
			}
			roles[r.Name] = len(r.Rules)
		}
		for _, b := range m.RoleBindings {
			if have, ok := bindings[b.Name]; ok && have != b.Subjects[0].Name {
				t.Errorf("RoleBinding %s of %s is taken over by %s", b.Name, have, b.Subjects[0].Name)
			}
			bindings[b.Name] = b.Subjects[0].Name
		}
	}
	if len(roles) != 4 || len(bindings) != 5 {
		t.Errorf("roles %v, bindings %v", roles, bindings)
	}
}
