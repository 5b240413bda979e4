package commandline

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

// The names that contexts have in the field, and some that nobody should give them.
var contextNames = []string{
	"kind-us", "arn:aws:eks:eu-central-1:111122223333:cluster/us", "default/[fd00:10::5]:6443/kube:admin", "admin@cluster", "gke_p_europe-west1_a",
	"a b", "it's", `say "hi"`, "$HOME", "`id`", "a,b", "*", "!x", "~", "-x", "two\nlines", "ü",
}

// TestField11Forms holds the order of words: each tool takes its flags at another place.
func TestField11Forms(t *testing.T) {
	t.Parallel()
	at := Context{Name: "kind-us", Kubeconfig: Kubeconfig{"/lab/kubeconfig"}, Flags: []string{"--as=alice"}}
	several := Context{Name: "kind-us", Kubeconfig: Kubeconfig{"/a", "/b c"}}
	mesh := Mesh{Selection: Contexts("kind-us", "kind-eu"), Kubeconfig: at.Kubeconfig, Flags: []string{"--cilium-namespace=cilium"}}
	for want, got := range map[string]string{
		"kubectl --context kind-us -n shop get svc --as=alice --kubeconfig /lab/kubeconfig":                                                Tool("kubectl", at, "shop", "get", "svc"),
		"kubectl --context kind-us -n shop exec web --as=alice --kubeconfig /lab/kubeconfig -- ps -x":                                      Tool("kubectl", at, "shop", "exec", "web", "--", "ps", "-x"),
		"kubectl --context kind-us create namespace x":                                                                                     Tool("kubectl", Context{Name: "kind-us"}, "", "create", "namespace", "x"),
		"KUBECONFIG='/a:/b c' kubectl --context kind-us -n x get svc":                                                                      Tool("kubectl", several, "x", "get", "svc"),
		"helm --kube-context kind-us -n kube-system upgrade cilium ./chart --kubeconfig /lab/kubeconfig":                                   Tool("helm", at, "kube-system", "upgrade", "cilium", "./chart"),
		"flux --context kind-us -n flux-system suspend helmrelease cilium --as=alice --kubeconfig /lab/kubeconfig":                         Tool("flux", at, "flux-system", "suspend", "helmrelease", "cilium"),
		"KUBECONFIG=/lab/kubeconfig argocd --kube-context kind-us app sync cilium --core":                                                  Tool("argocd", at, "", "app", "sync", "cilium", "--core"),
		"KUBECONFIG=/lab/kubeconfig cilium --context kind-us -n kube-system clustermesh status":                                            Tool("cilium", at, "kube-system", "clustermesh", "status"),
		"kubectl mesh-svc globalize web -n shop --in eu --contexts kind-us,kind-eu --cilium-namespace=cilium --kubeconfig /lab/kubeconfig": Plugin("kubectl mesh-svc", mesh, "shop", "globalize", "web", "--in", "eu"),
		"kubectl mesh-ca status --contexts a":                                                                                              Plugin("kubectl mesh-ca", Mesh{Selection: Contexts("a")}, "", "status"),
		"KUBECONFIG=/a:/b kubectl mesh-svc undrain us --all-contexts":                                                                      Plugin("kubectl mesh-svc", Mesh{Selection: []string{"--all-contexts"}, Kubeconfig: Kubeconfig{"/a", "/b"}}, "", "undrain", "us"),
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// run pastes a command into a shell in another directory. The tools there print the arguments that reach them, one a line, and KUBECONFIG.
func run(t *testing.T, command string) []string {
	t.Helper()
	bin := t.TempDir()
	const recorder = "#!/bin/sh\nprintf '%s\\0' \"$KUBECONFIG\" \"$@\"\n"
	for _, tool := range []string{"kubectl", "helm"} {
		program.Write(t, filepath.Join(bin, tool), recorder)
	}
	sh := exec.CommandContext(t.Context(), "sh", "-c", command)
	sh.Dir = bin
	sh.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "KUBECONFIG="}
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// TestField11Quoting: every name reaches the tool as it is, in a command and in a loop, whatever the shell makes of it.
func TestField11Quoting(t *testing.T) {
	t.Parallel()
	var all []Context
	for _, name := range contextNames {
		at := Context{Name: name, Kubeconfig: Kubeconfig{"/it's here/" + name}}
		want := []string{"", "--context", name, "-n", "shop", "get", "svc", "--kubeconfig", "/it's here/" + name}
		if d := cmp.Diff(want, run(t, Tool("kubectl", at, "shop", "get", "svc"))); d != "" {
			t.Errorf("%q: %s", name, d)
		}
		all = append(all, Context{Name: name, Kubeconfig: Kubeconfig{"/a"}})
	}
	get := func(at Context) string { return Tool("helm", at, "", "list") }
	var want []string
	for _, name := range contextNames {
		want = append(want, "", "--kube-context", name, "list", "--kubeconfig", "/a")
	}
	if loop := Each(all, get); !strings.HasPrefix(loop, "for c in ") {
		t.Errorf("no loop: %s", loop)
	} else if d := cmp.Diff(want, run(t, loop)); d != "" {
		t.Error(d)
	}
	all[1].Kubeconfig = Kubeconfig{"/b", "/c"}
	want = []string{"", "--kube-context", contextNames[0], "list", "--kubeconfig", "/a", "/b:/c", "--kube-context", contextNames[1], "list"}
	if d := cmp.Diff(want, run(t, Each(all[:2], get))); d != "" {
		t.Errorf("two kubeconfigs: %s", d)
	}
}

// TestField11List: a flag that splits at commas gets back the names that were meant.
func TestField11List(t *testing.T) {
	t.Parallel()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	got := fs.StringSlice("contexts", nil, "")
	if err := fs.Parse(Contexts(contextNames...)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(*got, contextNames) {
		t.Errorf("%q", *got)
	}
	if l := List("kind-us", "default/[fd00:10::5]:6443/kube:admin"); l != "kind-us,default/[fd00:10::5]:6443/kube:admin" {
		t.Error(l)
	}
}
