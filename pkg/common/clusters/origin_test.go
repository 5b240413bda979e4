package clusters

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// flagsOf parses a command line as cobra does: the flags of the root command are handed down.
func flagsOf(t *testing.T, args ...string) *Flags {
	t.Helper()
	f := NewFlags()
	root, cmd := pflag.NewFlagSet("root", pflag.ContinueOnError), pflag.NewFlagSet("undo", pflag.ContinueOnError)
	f.AddFlags(root)
	cmd.AddFlagSet(root)
	if err := cmd.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

// membersOf are the members of contexts without asking a cluster.
func membersOf(t *testing.T, f *Flags, patterns ...string) []*Member {
	t.Helper()
	kc, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	var out []*Member
	for _, p := range patterns {
		found, err := kc.find(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			m := f.newMember(c, false, &Warnings{})
			m.origin.Selection = f.selection(kc)
			out = append(out, m)
		}
	}
	return out
}

// TestField11Flags: a command that is printed to be run later reaches the same clusters, and holds no credential.
func TestField11Flags(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file := writeConfig(t, dir, "k", "us", "us=https://127.0.0.1:1", "eu=https://127.0.0.1:2")
	t.Setenv("KUBECONFIG", "")
	for want, args := range map[string][]string{
		"undo f --contexts us,eu --kubeconfig " + file:                    {"--kubeconfig=k", "--namespace=shop", "--token=SECRET", "--proxy-url=http://me:SEC%RET@proxy:3128"},
		"undo f --contexts us,eu --server=https://x --kubeconfig " + file: {"--kubeconfig", file, "--context=eu", "--server=https://x"},
		"undo f --contexts us,eu --as=alice '--as-group=a, b' --as-group=c --as-uid=7 --as-user-extra=k=v --kubeconfig " + file: {"--kubeconfig=./k",
			"--as=alice", "--as-group=a, b", "--as-group", "c", "--as-uid=7", "--as-user-extra=k=v"},
		"undo f --contexts us,eu --cilium-namespace=cilium --cluster-timeout=1m0s --request-timeout=3s --kubeconfig " + file: {"--kubeconfig=../" + filepath.Base(dir) + "/k",
			"--request-timeout=3s", "--cluster-timeout=60s", "--cilium-namespace=cilium", "--contexts=us,eu"},
		"undo f --contexts us,eu --certificate-authority=" + dir + "/ca.crt --insecure-skip-tls-verify --proxy-url=http://proxy:3128 --kubeconfig " + file: {"--kubeconfig=k", "--all-contexts",
			"--insecure-skip-tls-verify", "--proxy-url=http://proxy:3128", "--certificate-authority=ca.crt"},
	} {
		f := flagsOf(t, args...)
		got := commandline.Plugin("kubectl mesh-svc", commandline.MeshOf(membersOf(t, f, "us", "eu")), "", "undo", "f")
		if got != "kubectl mesh-svc "+want {
			t.Errorf("got  %s\nwant kubectl mesh-svc %s", got, want)
		}
	}
	if m := NewFlags().CommandMesh(); len(m.Flags) > 0 {
		t.Error(m)
	}
	for want, args := range map[string][]string{
		"--as=alice --as-user-extra=tenant=a --proxy-url=http://proxy:3128": {"--as=alice", "--as-user-extra=tenant=a", "--proxy-url=http://proxy:3128", "--cluster-timeout=3s"},
		"--certificate-authority=" + dir + "/ca.crt --client-certificate=" + dir + "/c.crt --client-key=" + dir + "/c.key --cluster=us --server=https://127.0.0.1:2 --tls-server-name=us --user=us": {
			"--server=https://127.0.0.1:2", "--tls-server-name=us", "--certificate-authority=ca.crt", "--client-certificate=c.crt", "--client-key=c.key", "--user=us", "--cluster=us", "--token=secret"},
	} {
		m := membersOf(t, flagsOf(t, append(args, "--kubeconfig=k")...), "eu")[0]
		if got, want := commandline.Tool("kubectl", m.Origin().At(), "", "get", "ns"), "kubectl --context eu get ns "+want+" --kubeconfig "+file; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f := flagsOf(t, "--kubeconfig=k", "--as=alice", "--cilium-namespace=x")
	if got, want := commandline.Tool("kubectl", membersOf(t, f, "eu")[0].Origin().At(), "", "get", "ns"), "kubectl --context eu get ns --as=alice --kubeconfig "+file; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestField11Kubeconfig: whichever way the files are named, a printed command names those that hold the contexts, by absolute paths.
func TestField11Kubeconfig(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	home := clientcmd.RecommendedHomeFile
	t.Cleanup(func() { clientcmd.RecommendedHomeFile = home })
	clientcmd.RecommendedHomeFile = filepath.Join(dir, ".kube", "config")
	if err := os.Mkdir(".kube", 0o700); err != nil {
		t.Fatal(err)
	}
	writeConfig(t, dir, ".kube/config", "us", "us=https://127.0.0.1:1")
	a := writeConfig(t, dir, "a", "us", "us=https://127.0.0.1:1", "ap=https://127.0.0.1:4")
	b := writeConfig(t, dir, "b", "eu", "us=https://127.0.0.1:9", "eu=https://127.0.0.1:2")
	c := filepath.Join(dir, "c")
	if err := os.WriteFile(c, []byte("apiVersion: v1\nkind: Config\ncontexts:\n- {name: far, context: {cluster: eu, user: ap}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env      string
		args     []string
		contexts []string
		tools    []string // kubectl, per member
		plugin   string
	}{
		"the default file":         {contexts: []string{"us"}, tools: []string{"--context us"}, plugin: "--contexts us"},
		"the default file by name": {env: ".kube/config", contexts: []string{"us"}, tools: []string{"--context us --kubeconfig " + dir + "/.kube/config"}, plugin: "--contexts us --kubeconfig " + dir + "/.kube/config"},
		"one file":                 {env: "a", contexts: []string{"us", "ap"}, tools: []string{"--context us --kubeconfig " + a, "--context ap --kubeconfig " + a}, plugin: "--contexts us,ap --kubeconfig " + a},
		"of two files one": {env: "a:./b:missing", contexts: []string{"a::us", "ap"}, tools: []string{"--context us --kubeconfig " + a, "--context ap --kubeconfig " + a},
			plugin: "--contexts us,ap --kubeconfig " + a},
		"of two files both": {env: "a:./b:missing", contexts: []string{"./b::us", "ap", a + "::us"}, tools: []string{"--context us --kubeconfig " + b, "--context ap --kubeconfig " + a, "--context us --kubeconfig " + a},
			plugin: "KUBECONFIG=" + a + ":" + b + " --contexts " + b + "::us,ap," + a + "::us"},
		"--kubeconfig before the environment": {env: "a", args: []string{"--kubeconfig", "b"}, contexts: []string{"eu"}, tools: []string{"--context eu --kubeconfig " + b}, plugin: "--contexts eu --kubeconfig " + b},
		"entries of another file": {env: "c:b:a", contexts: []string{"far"}, tools: []string{"KUBECONFIG=" + c + ":" + b + ":" + a + " --context far"},
			plugin: "KUBECONFIG=" + c + ":" + b + ":" + a + " --contexts far"},
	} {
		t.Setenv("KUBECONFIG", tc.env)
		members := membersOf(t, flagsOf(t, tc.args...), tc.contexts...)
		var tools []string
		for _, m := range members {
			tools = append(tools, strings.Replace(strings.Replace(commandline.Tool("kubectl", m.Origin().At(), "", "get"), "kubectl ", "", 1), " get", "", 1))
		}
		if d := cmp.Diff(tc.tools, tools); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if got := strings.Replace(commandline.Plugin("x", commandline.MeshOf(members), "", "y"), "x y ", "", 1); got != tc.plugin {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, tc.plugin)
		}
	}
}

// TestField11ManyClusters: a command for hundreds of clusters chooses them as the user did, by names that hold in every directory.
func TestField11ManyClusters(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	var contexts []string
	for n := range 300 {
		contexts = append(contexts, "kind-"+strings.Repeat("x", n+1)+"=https://127.0.0.1:1")
	}
	a := writeConfig(t, dir, "a", "kind-x", contexts...)
	b := writeConfig(t, dir, "b", "kind-x", "kind-x=https://127.0.0.1:2")
	for want, args := range map[string][]string{
		"KUBECONFIG=" + a + ":" + b + " x y --contexts 'kind-*," + b + "::kind-x'": {"--contexts=kind-*,./b::kind-x"},
		"KUBECONFIG=" + a + ":" + b + " x y --all-contexts":                        {"--all-contexts"},
		"KUBECONFIG=" + a + ":" + b + " x y --context " + a + "::kind-x":           {},
		"KUBECONFIG=" + a + ":" + b + " x y --context " + b + "::kind-x":           {"--context=b::kind-x"},
	} {
		t.Setenv("KUBECONFIG", "a:b")
		f := flagsOf(t, args...)
		if got := commandline.Plugin("x", commandline.MeshOf(membersOf(t, f, "*")), "", "y"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := commandline.Plugin("x", f.CommandMesh(), "", "y"); got != want {
			t.Errorf("before the selection:\ngot  %s\nwant %s", got, want)
		}
	}
}

// TestField12NamesThatLookLikeSomethingElse: a context's own name may hold "::", brackets and stars. It is found as it is, and no command
// that is printed takes it for FILE::NAME.
func TestField12NamesThatLookLikeSomethingElse(t *testing.T) {
	dir := t.TempDir()
	const oc, arn = "default/[fd00:10::5]:6443/kube:admin", "arn:aws:eks:eu-central-1:111122223333:cluster/us"
	quoted := func(name, server string) string { return `"` + name + `"=` + server }
	names := []string{oc, arn, "b::us", "::", "x::", "::y", "a::b::c", "kind-*", "[ab]", "b*"}
	var contexts []string
	for n, name := range append([]string{"kind-us", "bus", "a"}, names...) {
		contexts = append(contexts, quoted(name, "https://127.0.0.1:"+string(rune('1'+n%9))))
	}
	file := writeConfig(t, dir, "k", "kind-us", contexts...)
	t.Setenv("KUBECONFIG", file)
	for _, name := range names {
		f := flagsOf(t)
		members := membersOf(t, f, name)
		if len(members) != 1 {
			t.Errorf("%q means %d contexts", name, len(members))
			continue
		}
		m := members[0]
		if m.Context != name || m.ContextInFile != name || m.Kubeconfig != file {
			t.Errorf("%q: %q, in its file %q, of %q", name, m.Context, m.ContextInFile, m.Kubeconfig)
		}
		if d := cmp.Diff(commandline.Context{Name: name, Kubeconfig: commandline.Kubeconfig{file}}, m.Origin().At(), cmp.AllowUnexported(commandline.Context{})); d != "" {
			t.Errorf("%q: %s", name, d)
		}
		if mesh := commandline.MeshOf(members); !cmp.Equal(mesh.Selection, commandline.Contexts(name)) || !cmp.Equal(mesh.Kubeconfig, commandline.Kubeconfig{file}) {
			t.Errorf("%q: %v", name, mesh)
		}
	}
}

// TestField12FileAndName: where two files define such a name differently, it is FILE::NAME for a person, and file and name for a tool.
func TestField12FileAndName(t *testing.T) {
	dir := t.TempDir()
	const oc = "default/[fd00:10::5]:6443/kube:admin"
	a := writeConfig(t, dir, "a", "", `"`+oc+`"=https://127.0.0.1:1`)
	b := writeConfig(t, dir, "b", "", `"`+oc+`"=https://127.0.0.1:2`)
	t.Setenv("KUBECONFIG", a+":"+b)
	for _, typed := range []string{b + "::" + oc, "b::" + oc} {
		members := membersOf(t, flagsOf(t), typed)
		if len(members) != 1 || members[0].Context != b+"::"+oc || members[0].Kubeconfig != b || members[0].ContextInFile != oc {
			t.Fatalf("%s: %+v", typed, members)
		}
		if got, want := commandline.Tool("kubectl", members[0].Origin().At(), "", "get"), "kubectl --context '"+oc+"' get --kubeconfig "+b; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f := flagsOf(t)
	kc, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{oc, "c::" + oc, "5]:6443/kube:admin", "::" + oc, b + "::default/[fd00:10"} {
		if found, err := kc.find(typed); err == nil {
			t.Errorf("%q means %v", typed, found[0].name)
		}
	}
}

// TestNameThatIsAContextToo: where a name of a cluster is the context of another one, printed commands name the context of the cluster. Resolve goes on
// to refuse the name: a person who types it may mean either.
func TestNameThatIsAContextToo(t *testing.T) {
	t.Parallel()
	us, eu := newFakeAPI(t, "us", 1, "eu"), newFakeAPI(t, "eu", 2, "us")
	k := newKubeconfig("kind-us")
	k.api("kind-us", us, "x")
	k.api("kind-eu", eu, "x")
	k.add("us", "https://127.0.0.1:1", nil, &clientcmdapi.AuthInfo{Token: "x"})
	sel, err := k.flags(t, "kind-us", "kind-eu", "us").Select(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sel.Resolve("--in", []string{"us"}); err == nil || !strings.Contains(err.Error(), `"us" means both us (context kind-us) and context/us`) {
		t.Errorf("resolved, or %v", err)
	}
	mesh := commandline.MeshOf(sel.Members)
	if got := mesh.Clusters("us", "eu", "context/us"); got != "kind-us,eu,context/us" {
		t.Errorf("printed commands name %s", got)
	}
	for _, m := range sel.Members {
		if got, err := sel.Resolve("--in", []string{mesh.Cluster(m.Name)}); err != nil || got[0] != m {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	if mesh := commandline.MeshOf(sel.Members[1:2]); mesh.Cluster("eu") != "eu" {
		t.Errorf("the other cluster is named %s", mesh.Cluster("eu"))
	}
}
