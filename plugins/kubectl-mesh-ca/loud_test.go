package ca_test

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/keytest"
)

// searched are the keys that loud looks for, and the commands that it has run. Scripts run one after the other.
var searched = struct {
	keys *keytest.Keyring
	ran  map[string]bool
}{keytest.New(), map[string]bool{}}

// anyCode is for commands whose exit code is their verdict about the mesh.
const anyCode = "any"

// loud runs a command with as much output as it can print. The keys of all Secrets of all clusters are looked for, as they were before it and as they are after it. It is not printed
// where a key was found.
func loud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: loud CODE|any ARG...")
	}
	code := args[0]
	args = args[1:]
	words := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") })
	if words < 0 {
		words = len(args)
	}
	searched.ran[strings.Join(args[:words], " ")] = true
	noteAll(ts)
	// The exit code is in a file, since Exec only tells whether it is 0.
	const script = `"$@" >loud.out 2>loud.err </dev/null; echo $? >loud.code`
	ts.Check(ts.Exec("sh", append([]string{"-c", script, "sh", "kubectl", "mesh-ca"}, append(args, "-v=10")...)...))
	noteAll(ts)
	for _, file := range []string{"loud.out", "loud.err"} {
		if form, at := searched.keys.Find(ts.ReadFile(file)); at >= 0 {
			ts.Fatalf("kubectl mesh-ca %s: %s contains a private key (%s)", strings.Join(args, " "), file, form)
		}
	}
	if ts.ReadFile("loud.out")+ts.ReadFile("loud.err") == "" {
		ts.Fatalf("kubectl mesh-ca %s printed nothing: nothing was searched", strings.Join(args, " "))
	}
	if got := strings.TrimSpace(ts.ReadFile("loud.code")); got != code && code != anyCode {
		ts.Fatalf("kubectl mesh-ca %s: exit code %s, want %s\n%s", strings.Join(args, " "), got, code, end(ts.ReadFile("loud.err")))
	}
}

// end are the last lines of a log.
func end(text string) string {
	const most = 2000
	return text[max(0, len(text)-most):]
}

// noteAll remembers the keys of all Secrets of all clusters.
func noteAll(ts *testscript.TestScript) {
	config, err := clientcmd.LoadFromFile(os.Getenv("MESHLAB_KUBECONFIG"))
	ts.Check(err)
	for name := range config.Contexts {
		searched.keys.Note(client(ts, name), metav1.NamespaceAll)
	}
}

// everyCommand fails unless every command that may contact a cluster was run.
func everyCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: everycommand")
	}
	root := cmd.New(kernel.New(genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}))
	for _, c := range root.Commands() {
		if c.Hidden || slices.Contains([]string{"help", "completion", "options", "version"}, c.Name()) {
			continue
		}
		names := []string{c.Name()}
		for _, sub := range c.Commands() {
			names = append(names, c.Name()+" "+sub.Name())
		}
		for _, name := range names {
			if !searched.ran[name] {
				ts.Fatalf("kubectl mesh-ca %s was not searched", name)
			}
		}
	}
	if searched.keys.Keys() == 0 {
		ts.Fatalf("no key was looked for")
	}
	ts.Logf("%s", searched.keys)
}
