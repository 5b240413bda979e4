package svc_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
)

// missingIn is the cluster in which a permission is taken away.
const missingIn = "kind-eu"

// permissions is a user on the lab who has what rbac prints for one namespace, and nothing else.
type permissions struct {
	t         *testing.T
	user, ns  string
	record    string // of a change, for undo
	clients   map[string]kubernetes.Interface
	baselines map[string]int // exit codes with all permissions, by command
}

// commands are the command lines that need an access, by the names in the table.
func (p *permissions) commands(a globalsvc.Access) map[string][]string {
	write := func(args ...string) []string { return append(args, "--dry-run=server", "--yes") }
	all := map[string][]string{
		"clusters":     {"clusters"},
		"list":         {"list"},
		"list --watch": {"list", "--watch"},
		"describe":     {"describe", "web"},
		"check":        {"check", "--ignore", "SVC004"},
		"graph":        {"graph"},
		"globalize":    write("globalize", "plain"),
		"unglobalize":  write("unglobalize", "web"),
		"share":        write("share", "closed", "--in", "us,eu"),
		"unshare":      write("unshare", "web", "--in", "us,eu"),
		"affinity":     write("affinity", "local", "web"),
		"undo":         write("undo", p.record),
	}
	// Those of one Service ask for it by its name, those of several for a list.
	if a.Resource == "services" && slices.Equal(a.Verbs, []string{"list"}) {
		all["globalize"] = write("globalize", "--all")
		all["unglobalize"] = write("unglobalize", "--all")
		all["share"] = write("share", "--all", "--in", "us,eu")
		all["unshare"] = write("unshare", "--all", "--in", "us,eu")
		all["affinity"] = write("affinity", "local", "--all")
	}
	if len(a.Commands) == 0 {
		return map[string][]string{"clusters": all["clusters"], "globalize": all["globalize"]}
	}
	out := map[string][]string{}
	for _, c := range a.Commands {
		if all[c] == nil {
			p.t.Fatalf("no command line for %q of the table", c)
		}
		out[c] = all[c]
	}
	return out
}

// run runs the plugin as the user. A watch is interrupted when it has said the first thing.
func (p *permissions) run(name string, args []string) (output string, code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl-mesh_svc", append(args, "-n", p.ns, "--as", p.user)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+os.Getenv("MESHLAB_KUBECONFIG"), "XDG_STATE_HOME="+p.t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if name == "list --watch" {
		cmd.Stdout, cmd.Stderr = &interrupter{cmd: cmd, out: &out}, &out
	}
	err := cmd.Run()
	if ctx.Err() != nil {
		p.t.Fatalf("%s: no end: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// interrupter ends a program, as Ctrl-C does, as soon as it prints.
type interrupter struct {
	cmd *exec.Cmd
	out *bytes.Buffer
}

func (i *interrupter) Write(b []byte) (int, error) {
	_ = i.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	return i.out.Write(b)
}

// grant gives the user the accesses in one cluster, and waits until the API server's authorizer has noticed.
func (p *permissions) grant(ctx string, accesses []globalsvc.Access) {
	p.t.Helper()
	g := globalsvc.Grant{Write: true, Namespace: p.ns, MeshNamespace: "kube-system", Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: p.user}}}
	m := g.Manifests(accesses)
	if len(m.ClusterRoles) != 0 {
		p.t.Fatalf("what is granted for one namespace is in no ClusterRole: %+v", m.ClusterRoles)
	}
	for i := range m.Roles {
		api := p.clients[ctx].RbacV1().Roles(m.Roles[i].Namespace)
		_, err := api.Update(p.t.Context(), &m.Roles[i], metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = api.Create(p.t.Context(), &m.Roles[i], metav1.CreateOptions{})
		}
		p.must(err)
	}
	for i := range m.RoleBindings {
		b := &m.RoleBindings[i]
		_, err := p.clients[ctx].RbacV1().RoleBindings(b.Namespace).Create(p.t.Context(), b, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		p.must(err)
		p.t.Cleanup(func() {
			_ = p.clients[ctx].RbacV1().RoleBindings(b.Namespace).Delete(context.Background(), b.Name, metav1.DeleteOptions{})
			_ = p.clients[ctx].RbacV1().Roles(b.Namespace).Delete(context.Background(), b.Name, metav1.DeleteOptions{})
		})
	}
	for _, a := range globalsvc.Accesses() {
		want := slices.ContainsFunc(accesses, func(o globalsvc.Access) bool { return o.Rule() == a.Rule() && o.Place == a.Place })
		p.await(ctx, a, want)
	}
}

// await waits until the authorizer says yes, or no.
func (p *permissions) await(ctx string, a globalsvc.Access, want bool) {
	p.t.Helper()
	verb := a.Verbs[0] // of Namespaces, get alone is granted in one
	attributes := &authv1.ResourceAttributes{Namespace: p.where(a), Verb: verb, Group: a.Group, Resource: a.Resource}
	if len(a.Names) > 0 {
		attributes.Name = a.Names[0]
	}
	if a.Resource == "namespaces" && len(a.Names) == 0 {
		attributes.Name = p.ns
	}
	deadline := time.Now().Add(time.Minute)
	for {
		got, err := p.clients[ctx].AuthorizationV1().SubjectAccessReviews().Create(p.t.Context(),
			&authv1.SubjectAccessReview{Spec: authv1.SubjectAccessReviewSpec{User: p.user, ResourceAttributes: attributes}}, metav1.CreateOptions{})
		p.must(err)
		if got.Status.Allowed == want {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: %s is still allowed=%v", ctx, a.Rule(), got.Status.Allowed)
		}
		time.Sleep(20 * time.Millisecond) // between two looks; what is waited for is the authorizer
	}
}

// where is the namespace in which an access is granted.
func (p *permissions) where(a globalsvc.Access) string {
	switch a.Place {
	case globalsvc.InServices:
		return p.ns
	case globalsvc.InCluster:
		return a.Names[0] // a Namespace is granted in itself
	}
	return "kube-system"
}

func (p *permissions) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// newPermissions makes the Services and the user on the lab.
func newPermissions(t *testing.T) *permissions {
	t.Helper()
	kubeconfig := os.Getenv("MESHLAB_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make test")
	}
	p := &permissions{t: t, ns: fmt.Sprintf("perm%d", os.Getpid()), clients: map[string]kubernetes.Interface{}, baselines: map[string]int{}}
	p.user = "user-" + p.ns
	raw, err := clientcmd.LoadFromFile(kubeconfig)
	p.must(err)
	for ctx := range raw.Contexts {
		cfg, err := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{CurrentContext: ctx}).ClientConfig()
		p.must(err)
		cfg.QPS = -1
		client, err := kubernetes.NewForConfig(cfg)
		p.must(err)
		p.clients[ctx] = client
		_, err = client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.ns}}, metav1.CreateOptions{})
		p.must(err)
		t.Cleanup(func() {
			_ = client.CoreV1().Namespaces().Delete(context.Background(), p.ns, metav1.DeleteOptions{})
		})
		for name, annotations := range map[string]map[string]string{
			"plain": nil, "recorded": nil, "web": {"service.cilium.io/global": "true"},
			"closed": {"service.cilium.io/global": "true", "service.cilium.io/shared": "false"},
		} {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
			_, err := client.CoreV1().Services(p.ns).Create(t.Context(), svc, metav1.CreateOptions{})
			p.must(err)
		}
		p.grant(ctx, globalsvc.Accesses())
	}
	out, code := p.run("globalize", []string{"globalize", "recorded", "--yes"})
	found := regexp.MustCompile(`undo (\S+)`).FindStringSubmatch(out)
	if code != 0 || found == nil {
		t.Fatalf("globalize: exit %d\n%s", code, out)
	}
	p.record = filepath.Clean(found[1])
	return p
}

// TestPermissions: with what rbac prints every command works and says nothing of permissions. With one rule less, a command that needs
// it prints that very rule in one line; one that can do without works all the same, and says what it could not see.
func TestPermissions(t *testing.T) {
	p := newPermissions(t)
	for _, a := range globalsvc.Accesses() {
		for name, args := range p.commands(a) {
			key := strings.Join(args, " ")
			if _, done := p.baselines[key]; done {
				continue
			}
			out, code := p.run(name, args)
			if want := map[string]int{"list --watch": 130}[name]; code != want && name != "check" || strings.Contains(out, "permission") || strings.Contains(out, "needs {") {
				t.Errorf("%s with all permissions: exit %d\n%s", key, code, out)
			}
			p.baselines[key] = code
		}
	}
	for n, a := range globalsvc.Accesses() {
		t.Run(a.Rule(), func(t *testing.T) {
			p.t = t
			less := slices.Delete(slices.Clone(globalsvc.Accesses()), n, n+1)
			p.grant(missingIn, less)
			for name, args := range p.commands(a) {
				p.without(a, name, args)
			}
		})
		p.t = t
		p.grant(missingIn, globalsvc.Accesses())
	}
}

// without runs a command that lacks an access in one cluster.
func (p *permissions) without(a globalsvc.Access, name string, args []string) {
	p.t.Helper()
	out, code := p.run(name, args)
	key := strings.Join(args, " ")
	// The peers stand in a Secret and in a ConfigMap: one of them is enough.
	if strings.Contains(a.For, "the peers") {
		if code != p.baselines[key] {
			p.t.Errorf("%s: exit %d, want %d\n%s", key, code, p.baselines[key], out)
		}
		return
	}
	one := a
	one.Verbs = a.Verbs[:1]
	if len(one.Names) == 0 && a.Resource == "namespaces" {
		one.Names = []string{p.ns}
	}
	lines := 0
	want := "a Role in namespace " + p.where(a) + " needs " + strings.Replace(one.Rule(), "[patch]", "[get, patch]", 1)
	for line := range strings.Lines(out) {
		if strings.Contains(line, want) && strings.Contains(line, "eu") {
			lines++
		}
	}
	if lines == 0 {
		p.t.Errorf("%s: no line prints %q\n%s", key, want, out)
	}
	if works := code == p.baselines[key]; works != (a.Without != "") && name != "list --watch" {
		p.t.Errorf("%s: exit %d, with all permissions %d\n%s", key, code, p.baselines[key], out)
	}
}
