package ca_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

// TestFieldDPermissions: with exactly what rbac prints, status and sync see and do what an administrator does. With one rule less, a
// command that needs it prints that rule, or says what it cannot see.
func TestFieldDPermissions(t *testing.T) {
	clients := labtest.Clients(t)
	user := fmt.Sprintf("ca-%d", os.Getpid())
	grant := permissions.Grant{Plugin: "mesh-ca-" + user, MeshNamespace: ciliumNamespace, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}}
	give := func(write bool, accesses []permissions.Access) {
		t.Helper()
		g := grant
		g.Write = write
		for _, context := range []string{"kind-us", "kind-eu"} {
			labtest.Grant(t, clients[context], user, g.Manifests(accesses))
		}
	}
	contexts := []string{"--contexts", "kind-us,kind-eu"}
	status := append([]string{"status", "-o", "json"}, contexts...)
	sync := append([]string{"sync", "--from", "us", "--to", "eu", "--dry-run=server", "-o", "json"}, contexts...)
	// What reading commands find only with permission to list Secrets, which they are not given.
	listed := regexp.MustCompile(`,?\s*"formerCAsMessage": "no permission to list secrets[^"]*"`)
	same := func(args []string) {
		t.Helper()
		want, wantErr, wantCode := labtest.As(t, "", "kubectl-mesh_ca", args...)
		got, gotErr, code := labtest.As(t, user, "kubectl-mesh_ca", args...)
		asked := strings.NewReplacer(" --as="+user, "") // printed commands ask as the same user
		if d := cmp.Diff(want, listed.ReplaceAllString(asked.Replace(got), "")); d != "" || code != wantCode || withoutProgress(asked.Replace(gotErr)) != withoutProgress(wantErr) {
			t.Errorf("%s: exit code %d, as administrator %d\n%s%s", args, code, wantCode, gotErr, d)
		}
	}
	give(false, ca.Accesses())
	same(status)
	if out, stderr, code := labtest.As(t, user, "kubectl-mesh_ca", sync...); code != 1 || !strings.Contains(out+stderr, "no permission") {
		t.Errorf("sync with what status needs: exit code %d, %s", code, stderr)
	}
	give(true, ca.Accesses())
	same(status)
	same(sync)
	for n, a := range ca.Accesses() {
		if a.Place != permissions.InMeshNamespace || len(a.Commands) == 0 && !slices.Contains(a.Names, pki.SecretCA) {
			continue // the lab has neither bundles nor CronJobs; TestPermissions of mesh-svc takes away those of every plugin
		}
		if a.Writes && (slices.Equal(a.Verbs, []string{"get"}) || !slices.Contains(a.Commands, "sync")) {
			continue // only a former CA is read by it that was kept before; or it is for a command that TestPermissionsOfBackups runs
		}
		t.Run(a.Rule(), func(t *testing.T) {
			less := slices.Delete(ca.Accesses(), n, n+1)
			less = slices.DeleteFunc(less, func(a permissions.Access) bool { // rules of other commands would cover it
				return len(a.Commands) > 0 && !slices.Contains(a.Commands, "sync")
			})
			args, write := sync, true
			if !a.Writes { // a rule without names would cover it
				args, write = status, false
			}
			g := grant
			g.Plugin, g.Write = grant.Plugin+fmt.Sprint("-", n), write
			g.Subjects = []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user + fmt.Sprint("-", n)}}
			for _, context := range []string{"kind-us", "kind-eu"} {
				labtest.Grant(t, clients[context], g.Subjects[0].Name, g.Manifests(less))
			}
			out, stderr, code := labtest.As(t, g.Subjects[0].Name, "kubectl-mesh_ca", args...)
			// Without the record of the Helm release sync does its work, and says what it cannot see.
			if code == 0 && a.Without == "" || !strings.Contains(out+stderr, "permission") {
				t.Errorf("exit code %d\n%s%s", code, out, stderr)
			}
		})
	}
}

// withoutProgress leaves out the lines that a slow machine adds.
func withoutProgress(stderr string) string {
	return strings.Join(slices.DeleteFunc(slices.Collect(strings.Lines(stderr)), func(line string) bool { return strings.HasPrefix(line, "Waiting for ") }), "")
}
