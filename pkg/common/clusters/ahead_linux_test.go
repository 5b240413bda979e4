package clusters

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// aheadMesh is a kubeconfig with a mesh of us, eu and ap, and three other contexts, which no name connects with the mesh.
type aheadMesh struct {
	kubeconfigOf
	script
	others []*fakeAPI
}

// newAheadMesh makes the mesh. The plugin logs "end" and its first argument at the end; body is what it does before.
func newAheadMesh(t *testing.T, body string) *aheadMesh {
	t.Helper()
	k := &aheadMesh{kubeconfigOf: newKubeconfig("kind-us"), script: newScript(t, `cd "$(dirname "$0")"; await() { while ! grep -q "$1" log; do sleep 0.2; done; }`+"\n"+body+"\n"+`echo "end $1" >> log`)}
	for n, name := range []string{"us", "eu", "ap"} {
		k.login("kind-"+name, newFakeAPI(t, name, n+1, "us", "eu", "ap"), clientcmdapi.NeverExecInteractiveMode)
	}
	for n := range 3 {
		f := newFakeAPI(t, fmt.Sprintf("other%d", n), 100+n)
		k.others = append(k.others, f)
		k.login(fmt.Sprintf("aa-%d", n), f, clientcmdapi.NeverExecInteractiveMode)
	}
	return k
}

func (k *aheadMesh) login(name string, f *fakeAPI, mode clientcmdapi.ExecInteractiveMode) {
	k.add(name, f.URL, f.ca(), k.exec(mode, name))
}

// beginsAfterHome checks that the plugin of a context began after that of the home cluster had ended.
func (k *aheadMesh) beginsAfterHome(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(k.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if end, run := slices.Index(lines, "end kind-us"), slices.Index(lines, "run "+name); end < 0 || run < end {
		t.Errorf("%s does not begin after home: %s", name, text)
	}
}

// TestField17LoginsAhead: while the home cluster's plugin waits, those of other contexts run. The peers' credentials are used; the other plugins
// are ended, and their servers are not asked.
func TestField17LoginsAhead(t *testing.T) {
	t.Parallel()
	k := newAheadMesh(t, `case $1 in
kind-us) await "run kind-eu"; await "run kind-ap"; await "pid"; ;;
aa-*) echo "pid $$" >> log; sleep 1000 ;;
esac`)
	f := k.flags(t)
	f.Timeout = watchdog
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) > 0 || len(sel.Members) != 3 || !strings.Contains(strings.Join(sel.Notes, "\n"), "contexts aa-0, aa-1, aa-2") {
		t.Fatalf("%v: %v %v %s", err, described(sel), sel.Notes, everything(sel))
	}
	runs := k.lines(t, "run")
	slices.Sort(runs)
	if len(slices.Compact(slices.Clone(runs))) != len(runs) {
		t.Errorf("runs %v", runs)
	}
	for _, other := range k.others {
		if other.requests() > 0 {
			t.Errorf("%s was asked", other.name)
		}
	}
	for _, pid := range k.lines(t, "pid") {
		dies(t, pid)
	}
}

// TestField17AFailedLoginAhead: it is the result for its context; the plugin does not run again.
func TestField17AFailedLoginAhead(t *testing.T) {
	t.Parallel()
	k := newAheadMesh(t, `case $1 in kind-us) await "run kind-eu" ;; kind-eu) exit 3 ;; esac`)
	f := k.flags(t)
	f.Timeout = watchdog
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) != 1 || !strings.Contains(everything(sel), "failed with exit code 3") {
		t.Fatalf("%v: %v %s", err, described(sel), everything(sel))
	}
	if runs := slices.DeleteFunc(k.lines(t, "run"), func(name string) bool { return name != "kind-eu" }); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
}

// TestField17NoLoginAhead: where it would disturb, the peers' plugins begin after that of the home cluster.
func TestField17NoLoginAhead(t *testing.T) {
	t.Parallel()
	const waits = `[ $1 != kind-us ] || sleep 1.5`
	for name, c := range map[string]struct {
		body string
		set  func(*testing.T, *aheadMesh, *Flags)
	}{
		"a plugin that computes": {`if [ $1 = kind-us ]; then (sleep 1.5; : > over) & while [ ! -e over ]; do :; done; fi`, func(*testing.T, *aheadMesh, *Flags) {}},
		"completion":             {waits, func(_ *testing.T, _ *aheadMesh, f *Flags) { f.unattended = true }},
		"a plugin that opens a browser": {waits, func(_ *testing.T, k *aheadMesh, _ *Flags) {
			k.AuthInfos["kind-us"].Exec.Args = []string{"kind-us", "oidc-login"}
		}},
		"a peer's that opens a browser": {waits, func(_ *testing.T, k *aheadMesh, _ *Flags) {
			k.AuthInfos["kind-eu"].Exec.Args = []string{"kind-eu", "oidc-login"}
		}},
		"another command": {waits, func(t *testing.T, k *aheadMesh, _ *Flags) {
			t.Helper()
			other := k.path + "-2"
			if err := os.Link(k.path, other); err != nil {
				t.Fatal(err)
			}
			k.AuthInfos["kind-eu"].Exec.Command = other
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newAheadMesh(t, c.body)
			f := NewFlags()
			c.set(t, k, f)
			path := k.write(t)
			f.Config.KubeConfig, f.Timeout = &path, watchdog
			if sel, err := selected(hosted(t), t, f); err != nil || len(sel.Failed()) > 0 || len(sel.Members) != 3 {
				t.Fatalf("%v: %v %s", err, described(sel), everything(sel))
			}
			k.beginsAfterHome(t, "kind-eu")
		})
	}
}

// TestField17NoPromptAhead: a plugin that may prompt does not begin ahead, and nothing begins ahead of one.
func TestField17NoPromptAhead(t *testing.T) {
	t.Parallel()
	for name, prompts := range map[string]string{"home may prompt": "kind-us", "a peer may prompt": "kind-eu"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newAheadMesh(t, `[ $1 != kind-us ] || sleep 1.5`)
			k.AuthInfos[prompts].Exec.InteractiveMode = clientcmdapi.IfAvailableExecInteractiveMode
			c := runOnTerminal(t, k.kubeconfigOf, time.Minute, helperMesh+"=1")
			c.expect("SELECTED <nil>")
			k.beginsAfterHome(t, "kind-eu")
		})
	}
}

// TestField17StderrOfLoginsAhead: what a plugin writes is shown if its credentials are needed, in time for a person to read it, and not otherwise.
func TestField17StderrOfLoginsAhead(t *testing.T) {
	t.Parallel()
	k := newAheadMesh(t, `case $1 in
kind-us) await "said kind-eu"; await "said kind-ap"; await "said aa"; echo "home" >&2 ;;
*) echo "note of $1" >&2; echo "said $1" >> log ;;
esac
[ $1 != kind-ap ] || await "goes on"`)
	c := runOnTerminal(t, k.kubeconfigOf, watchdog, helperMesh+"=1")
	c.expect("note of kind-eu")
	c.expect("note of kind-ap") // it still runs
	log, err := os.OpenFile(k.log, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.WriteString("goes on\n"); err != nil {
		t.Fatal(err)
	}
	_ = log.Close()
	c.expect("SELECTED <nil>")
	if screen := c.screen(); strings.Contains(screen, "note of aa") || strings.Count(screen, "note of") != 2 || strings.Index(screen, "home") > strings.Index(screen, "note of") {
		t.Error(screen)
	}
}
