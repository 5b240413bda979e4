package svc_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
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

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/access"
)

// grantee is a user on the lab who has what rbac prints, and nothing else.
type grantee struct {
	t         *testing.T
	user, ns  string
	record    string // of a change, for undo
	scope     permissions.Grant
	lessIn    []string // the contexts in which a permission is taken away
	clients   map[string]kubernetes.Interface
	baselines map[string]int // exit codes with all permissions, by command
}

// commands are the command lines that need an access, by the names in the table.
func (p *grantee) commands(a permissions.Access) map[string][]string {
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
		"drain":        write("drain", "us"),
		"undrain":      write("undrain", "us"),
	}
	// Those of one Service ask for it by its name, those of several for a list.
	if a.Resource == "services" && slices.Equal(a.Verbs, []string{"list"}) {
		all["globalize"] = write("globalize", "--all")
		all["unglobalize"] = write("unglobalize", "--all")
		all["share"] = write("share", "--all", "--in", "us,eu")
		all["unshare"] = write("unshare", "--all", "--in", "us,eu")
		all["affinity"] = write("affinity", "local", "--all")
	}
	if len(a.Commands) == 0 && len(p.scope.Drain) == 0 {
		return map[string][]string{"clusters": all["clusters"], "globalize": all["globalize"]}
	}
	out := map[string][]string{}
	for _, c := range a.Commands {
		if all[c] == nil {
			p.t.Fatalf("no command line for %q of the table", c)
		}
		if a.Drain && slices.Equal(a.Verbs, []string{"create"}) {
			continue // a record is made once; TestDrainPermissions asks before that
		}
		if drain := c == "drain" || c == "undrain"; drain == (len(p.scope.Drain) > 0) {
			out[c] = all[c]
		}
	}
	return out
}

// run runs the plugin as the user. A watch is interrupted when it has said the first thing.
func (p *grantee) run(name string, args []string) (output string, code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Minute)
	defer cancel()
	args = append(slices.Clone(args), "--as", p.user)
	if name != "drain" && name != "undrain" { // which work on all namespaces and refuse one
		args = append(args, "-n", p.ns)
	}
	cmd := exec.CommandContext(ctx, "kubectl-mesh_svc", args...)
	cmd.Env = append(os.Environ(), "COLUMNS=500", "KUBECONFIG="+os.Getenv("MESHLAB_KUBECONFIG"), "XDG_STATE_HOME="+p.t.TempDir())
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

// interrupter ends a program, as one Ctrl-C does, as soon as it prints. A second one would kill it.
type interrupter struct {
	cmd  *exec.Cmd
	out  *bytes.Buffer
	once sync.Once
}

func (i *interrupter) Write(b []byte) (int, error) {
	i.once.Do(func() { _ = i.cmd.Process.Signal(syscall.SIGINT) }) // it may have ended
	return i.out.Write(b)
}

// grant gives the user the accesses in one cluster, and waits until the API server's authorizer has noticed.
func (p *grantee) grant(ctx string, accesses []permissions.Access) {
	p.t.Helper()
	m := p.scope.Manifests(accesses)
	p.grantCluster(ctx, m)
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
			_ = p.clients[ctx].RbacV1().Roles(b.Namespace).Delete(context.Background(), b.RoleRef.Name, metav1.DeleteOptions{})
		})
	}
	for _, a := range p.accesses() {
		want := slices.ContainsFunc(accesses, func(o permissions.Access) bool { return o.Rule() == a.Rule() && o.Place == a.Place })
		p.await(ctx, a, want)
	}
}

// grantCluster grants what is in no namespace.
func (p *grantee) grantCluster(ctx string, m permissions.Manifests) {
	p.t.Helper()
	api := p.clients[ctx].RbacV1()
	for i := range m.ClusterRoles {
		_, err := api.ClusterRoles().Update(p.t.Context(), &m.ClusterRoles[i], metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = api.ClusterRoles().Create(p.t.Context(), &m.ClusterRoles[i], metav1.CreateOptions{})
		}
		p.must(err)
		b := &m.ClusterRoleBindings[i]
		_, err = api.ClusterRoleBindings().Create(p.t.Context(), b, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			continue
		}
		p.must(err)
		p.t.Cleanup(func() {
			_ = api.ClusterRoleBindings().Delete(context.Background(), b.Name, metav1.DeleteOptions{})
			_ = api.ClusterRoles().Delete(context.Background(), b.RoleRef.Name, metav1.DeleteOptions{})
		})
	}
}

// accesses are those of the table that the user has, less those that others grant along with them.
func (p *grantee) accesses() []permissions.Access {
	return slices.DeleteFunc(access.All(), func(a permissions.Access) bool {
		return a.Drain && len(p.scope.Drain) == 0
	})
}

// await waits until the authorizer says yes, or no.
func (p *grantee) await(ctx string, a permissions.Access, want bool) {
	p.t.Helper()
	verb := a.Verbs[0] // of Namespaces, get alone is granted in one
	attributes := &authv1.ResourceAttributes{Namespace: p.where(a), Verb: verb, Group: a.Group, Resource: a.Resource}
	if names := p.names(a); len(names) > 0 {
		attributes.Name = names[0]
	}
	if p.scope.Namespace == "" && a.Resource == "namespaces" && len(a.Names) > 0 {
		return // the rule about all Namespaces covers it
	}
	if a.Resource == "namespaces" && len(a.Names) == 0 && p.scope.Namespace != "" {
		attributes.Name = p.ns
	}
	deadline := time.Now().Add(5 * time.Minute)
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
func (p *grantee) where(a permissions.Access) string {
	switch a.Place {
	case permissions.InServices:
		return p.scope.Namespace
	case permissions.InCluster:
		if a.Resource != "namespaces" {
			return ""
		}
		return a.Names[0] // a Namespace is granted in itself
	}
	return "kube-system"
}

// names are the names to which an access is limited.
func (p *grantee) names(a permissions.Access) []string {
	if a.Drain && len(a.Names) > 0 {
		return []string{"kubectl-mesh-drain-us"}
	}
	return a.Names
}

func (p *grantee) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// newPermissions makes the Services and the user on the lab; scope is what is granted but for whom.
func newPermissions(t *testing.T, name string, lessIn []string, scope permissions.Grant) *grantee {
	t.Helper()
	kubeconfig := os.Getenv("MESHLAB_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make test")
	}
	p := &grantee{t: t, ns: fmt.Sprintf("%s%d", name, os.Getpid()), lessIn: lessIn, clients: map[string]kubernetes.Interface{}, baselines: map[string]int{}}
	p.user = "user-" + p.ns
	p.scope = scope
	p.scope.Plugin, p.scope.Write, p.scope.MeshNamespace = "mesh-svc", true, "kube-system"
	p.scope.DrainName = func(cluster string) string { return "kubectl-mesh-drain-" + cluster }
	p.scope.Subjects = []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: p.user}}
	if len(scope.Drain) == 0 {
		p.scope.Namespace = p.ns
	}
	raw, err := clientcmd.LoadFromFile(kubeconfig)
	p.must(err)
	for ctx := range raw.Contexts {
		cfg, err := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{CurrentContext: ctx}).ClientConfig()
		p.must(err)
		cfg.QPS = -1
		client, err := kubernetes.NewForConfig(cfg)
		p.must(err)
		p.clients[ctx] = client
		if len(scope.Drain) > 0 {
			alone(t, client)
		}
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
			_, err := client.CoreV1().Services(p.ns).Create(t.Context(), svc, metav1.CreateOptions{FieldManager: "kubectl-create"})
			p.must(err)
		}
		p.grant(ctx, p.accesses())
	}
	out, code := p.run("globalize", []string{"globalize", "recorded", "--yes"})
	found := regexp.MustCompile(`mesh-svc undo (\S+)`).FindStringSubmatch(out)
	if code != 0 || found == nil {
		t.Fatalf("globalize: exit %d\n%s", code, out)
	}
	p.record = filepath.Clean(found[1])
	return p
}

// TestPermissions: with what rbac prints every command works and says nothing of permissions. With one rule less, a command that needs
// it prints that very rule in one line; a command that can work without it works, and says what it could not read.
func TestPermissions(t *testing.T) {
	p := newPermissions(t, "perm", []string{"kind-eu"}, permissions.Grant{})
	p.all()
}

// TestDrainPermissions is the same for drain and undrain, which work on all namespaces and keep a record in another cluster. Any of
// the others can keep it, so that a permission is taken away in all.
func TestDrainPermissions(t *testing.T) {
	p := newPermissions(t, "drain", []string{"kind-us", "kind-eu", "kind-ap"}, permissions.Grant{Drain: []string{"us"}})
	p.withoutCreate()
	// An interrupted drain, so that there is something to continue and to undo.
	if out, code := p.run("drain", []string{"drain", "us", "--yes"}); code != 0 {
		t.Fatalf("drain: exit %d\n%s", code, out)
	}
	svc, err := p.clients["kind-us"].CoreV1().Services(p.ns).Get(t.Context(), "plain", metav1.GetOptions{})
	p.must(err)
	svc.Annotations = map[string]string{"service.cilium.io/global": "true"}
	_, err = p.clients["kind-us"].CoreV1().Services(p.ns).Update(t.Context(), svc, metav1.UpdateOptions{})
	p.must(err)
	p.all()
	if out, code := p.run("undrain", []string{"undrain", "us", "--yes"}); code != 0 {
		t.Errorf("undrain: exit %d\n%s", code, out)
	}
}

// withoutCreate drains without the permission to make the record: nothing is written, and the rule is printed.
func (p *grantee) withoutCreate() {
	p.t.Helper()
	all := p.accesses()
	less := slices.DeleteFunc(slices.Clone(all), func(a permissions.Access) bool { return a.Drain && slices.Equal(a.Verbs, []string{"create"}) })
	if len(less) != len(all)-1 {
		p.t.Fatalf("%d of %d accesses create the record", len(all)-len(less), len(all))
	}
	for _, ctx := range p.lessIn {
		p.grant(ctx, less)
	}
	out, code := p.run("drain", []string{"drain", "us", "--yes"})
	if code != 1 || !strings.Contains(out, `a Role in namespace kube-system needs {apiGroups: [""], resources: [configmaps], verbs: [create]}`) {
		p.t.Errorf("drain without create: exit %d\n%s", code, out)
	}
	svc, err := p.clients["kind-us"].CoreV1().Services(p.ns).Get(p.t.Context(), "web", metav1.GetOptions{})
	p.must(err)
	if _, there := svc.Annotations["service.cilium.io/shared"]; there {
		p.t.Errorf("drain without create wrote %v", svc.Annotations)
	}
	for _, ctx := range p.lessIn {
		p.grant(ctx, all)
	}
}

// all runs every command with everything, and then with each permission less.
func (p *grantee) all() {
	t := p.t
	for _, a := range p.accesses() {
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
	for n, a := range p.accesses() {
		commands := p.commands(a)
		if len(commands) == 0 {
			continue
		}
		t.Run(a.Rule(), func(t *testing.T) {
			p.t = t
			for _, ctx := range p.lessIn {
				p.grant(ctx, slices.Delete(p.accesses(), n, n+1))
			}
			if data := asked[a.Resource]; data != nil {
				defer p.configure(data)()
			}
			for name, args := range commands {
				p.without(a, name, args)
			}
		})
		p.t = t
		for _, ctx := range p.lessIn {
			p.grant(ctx, p.accesses())
		}
	}
}

// asked holds the settings of Cilium under which check asks for a resource, where they are not the lab's.
var asked = map[string]map[string]string{
	"ciliumnodes":                      {"ipam": "cluster-pool"},
	"networkpolicies":                  {"policy-default-local-cluster": "true"},
	"ciliumnetworkpolicies":            {"policy-default-local-cluster": "true"},
	"ciliumclusterwidenetworkpolicies": {"policy-default-local-cluster": "true"},
}

// configure changes settings of Cilium where the permission is taken away, and returns a function that restores them.
func (p *grantee) configure(data map[string]string) func() {
	p.t.Helper()
	api := p.clients[p.lessIn[0]].CoreV1().ConfigMaps("kube-system")
	cm, err := api.Get(p.t.Context(), "cilium-config", metav1.GetOptions{})
	p.must(err)
	former := maps.Clone(cm.Data)
	maps.Copy(cm.Data, data)
	cm, err = api.Update(p.t.Context(), cm, metav1.UpdateOptions{})
	p.must(err)
	return func() {
		cm.Data = former
		_, err := api.Update(context.WithoutCancel(p.t.Context()), cm, metav1.UpdateOptions{})
		p.must(err)
	}
}

// without runs a command that lacks an access in one cluster.
func (p *grantee) without(a permissions.Access, name string, args []string) {
	p.t.Helper()
	out, code := p.run(name, args)
	key := strings.Join(args, " ")
	// The peers are in a Secret and in a ConfigMap: one of them is enough.
	if strings.Contains(a.For, "the peers") {
		if code != p.baselines[key] {
			p.t.Errorf("%s: exit %d, want %d\n%s", key, code, p.baselines[key], out)
		}
		return
	}
	where := "a ClusterRole"
	if ns := p.where(a); ns != "" {
		where = regexp.QuoteMeta("a Role in namespace " + ns)
	} else if a.Resource == "services" && !slices.Contains(a.Verbs, "list") {
		where = `a Role in namespace \S+` // asked for each namespace in which there is something to change
	}
	one := a
	if one.Names = p.names(a); len(one.Names) == 0 && a.Resource == "namespaces" && p.scope.Namespace != "" {
		one.Names = []string{p.ns}
	}
	rule, _, _ := strings.Cut(one.Rule(), "verbs: [")
	want := regexp.MustCompile(where + regexp.QuoteMeta(" needs "+rule) + `verbs: \[[a-z, ]*\b(` + strings.Join(a.Verbs, "|") + `)\b[a-z, ]*\]\}`)
	lines := 0
	for line := range strings.Lines(out) {
		if want.MatchString(line) {
			lines++
		}
	}
	if lines == 0 {
		p.t.Errorf("%s: no line prints %s\n%s", key, want, out)
	}
	mayWork := a.Without != "" && (name != "check" || a.Resource != "namespaces") // check does not examine their keys then
	if works := code == p.baselines[key]; works != mayWork && name != "list --watch" {
		p.t.Errorf("%s: exit %d, with all permissions %d\n%s", key, code, p.baselines[key], out)
	}
}
