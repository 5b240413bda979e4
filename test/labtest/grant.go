package labtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
)

// Clients reaches every cluster of the lab as its administrator, by context. Without a lab the test is skipped.
func Clients(t *testing.T) map[string]kubernetes.Interface {
	t.Helper()
	kubeconfig := os.Getenv("MESHLAB_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make test")
	}
	raw, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]kubernetes.Interface{}
	for name := range raw.Contexts {
		cfg, err := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
		if err != nil {
			t.Fatal(err)
		}
		cfg.QPS = -1
		if out[name], err = kubernetes.NewForConfig(cfg); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// As runs a program on the lab as a user and returns what it printed to each stream, and its exit code.
func As(t *testing.T, user, program string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), watchdog)
	defer cancel()
	if user != "" {
		args = append(slices.Clone(args), "--as", user)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+os.Getenv("MESHLAB_KUBECONFIG"), "XDG_STATE_HOME="+t.TempDir())
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, errOut.String())
	}
	documents.Check(t, out.String())
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// Grant gives a user exactly what the manifests hold in one cluster, and waits until the API server knows. Granting again takes away what is no
// longer among them. At the end of the test all is removed.
func Grant(t *testing.T, api kubernetes.Interface, user string, m permissions.Manifests) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	rbac := api.RbacV1()
	for i := range m.ClusterRoles {
		r, b := &m.ClusterRoles[i], &m.ClusterRoleBindings[i]
		_, err := rbac.ClusterRoles().Update(t.Context(), r, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = rbac.ClusterRoles().Create(t.Context(), r, metav1.CreateOptions{})
			t.Cleanup(func() {
				_ = rbac.ClusterRoleBindings().Delete(context.Background(), b.Name, metav1.DeleteOptions{})
				_ = rbac.ClusterRoles().Delete(context.Background(), r.Name, metav1.DeleteOptions{})
			})
		}
		must(err)
		_, err = rbac.ClusterRoleBindings().Create(t.Context(), b, metav1.CreateOptions{})
		must(err)
	}
	for i := range m.Roles {
		r, b := &m.Roles[i], &m.RoleBindings[i]
		_, err := rbac.Roles(r.Namespace).Update(t.Context(), r, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = rbac.Roles(r.Namespace).Create(t.Context(), r, metav1.CreateOptions{})
			t.Cleanup(func() {
				_ = rbac.RoleBindings(b.Namespace).Delete(context.Background(), b.Name, metav1.DeleteOptions{})
				_ = rbac.Roles(r.Namespace).Delete(context.Background(), r.Name, metav1.DeleteOptions{})
			})
		}
		must(err)
		_, err = rbac.RoleBindings(b.Namespace).Create(t.Context(), b, metav1.CreateOptions{})
		must(err)
	}
	for _, r := range m.ClusterRoles {
		Await(t, api, user, "", r.Rules, true)
	}
	for _, r := range m.Roles {
		Await(t, api, user, r.Namespace, r.Rules, true)
	}
}

// Await waits until the authorizer allows a user what the rules hold, or until it no longer does.
func Await(t *testing.T, api kubernetes.Interface, user, namespace string, rules []rbacv1.PolicyRule, want bool) {
	t.Helper()
	deadline := time.Now().Add(watchdog)
	for _, r := range rules {
		for _, verb := range r.Verbs {
			a := &authv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: r.APIGroups[0], Resource: r.Resources[0]}
			if i := slices.Index([]byte(a.Resource), '/'); i > 0 {
				a.Resource, a.Subresource = a.Resource[:i], a.Resource[i+1:]
			}
			if len(r.ResourceNames) > 0 {
				a.Name = r.ResourceNames[0]
			}
			for {
				got, err := api.AuthorizationV1().SubjectAccessReviews().Create(t.Context(),
					&authv1.SubjectAccessReview{Spec: authv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: a}}, metav1.CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if got.Status.Allowed == want {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s %s in %q is still allowed=%v", verb, r.Resources[0], namespace, got.Status.Allowed)
				}
				time.Sleep(20 * time.Millisecond) // between two looks; what is waited for is the authorizer
			}
		}
	}
}
