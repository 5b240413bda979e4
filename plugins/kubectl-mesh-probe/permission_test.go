package probe_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

// TestFieldDPermissions: a probe runs with exactly what rbac prints for one namespace, and reports no missing permission.
func TestFieldDPermissions(t *testing.T) {
	clients := labtest.Clients(t)
	ns := fmt.Sprintf("probe%d", os.Getpid())
	user := "user-" + ns
	g := permissions.Grant{Plugin: "mesh-probe", Namespace: ns, MeshNamespace: "kube-system", Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}}
	for _, name := range []string{"kind-us", "kind-eu"} {
		api := clients[name].CoreV1().Namespaces()
		if _, err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = api.Delete(context.Background(), ns, metav1.DeleteOptions{}) })
		apply := exec.CommandContext(t.Context(), "kubectl", "--kubeconfig", os.Getenv("MESHLAB_KUBECONFIG"), "--context", name, "-n", ns, "apply", "-f", "-")
		apply.Stdin = strings.NewReader(strings.ReplaceAll(permissionObjects, "CLUSTER", strings.TrimPrefix(name, "kind-")))
		if out, err := apply.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		labtest.Grant(t, clients[name], user, g.Manifests(probe.Accesses()))
	}
	for _, name := range []string{"kind-us", "kind-eu"} {
		rolledOut(t, name, ns)
	}
	args := []string{"http://web", "--from", "deploy/client", "-n", ns, "--contexts", "kind-us,kind-eu", "--count", "20"}
	out, stderr, code := labtest.As(t, user, "kubectl-mesh_probe", args...)
	if code != 0 || strings.Contains(stderr, "permission") || strings.Contains(stderr, "forbidden") || !strings.Contains(out, "us") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
}

const permissionObjects = `apiVersion: v1
kind: Service
metadata: {name: web, annotations: {service.cilium.io/global: "true"}}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: meshlab/web}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec: {containers: [{name: client, image: meshlab/busybox}]}
`
