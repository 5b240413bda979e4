//go:build unix

package clusters

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// TestField17PluginsRunInParallel: each plugin waits until six have begun, which one after the other never happens.
func TestField17PluginsRunInParallel(t *testing.T) {
	t.Parallel()
	s := newScript(t, `while [ $(grep -c run "$(dirname "$0")/log") -lt 6 ]; do sleep 0.2; done`)
	k := newKubeconfig("c0")
	var contexts []string
	for n := range 12 {
		f := newFakeAPI(t, fmt.Sprintf("c%d", n), n+1)
		name := fmt.Sprintf("c%d", n)
		contexts = append(contexts, name)
		f.tokens = []string{name}
		k.add(name, f.URL, f.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, name))
	}
	f := k.flags(t, contexts...)
	f.Timeout = watchdog
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) > 0 {
		t.Fatalf("%v: %s", err, everything(sel))
	}
	if runs := s.lines(t, "run"); len(runs) != 12 {
		t.Errorf("%d runs", len(runs))
	}
}

// TestField17OnlyWhatCanMatter: the peers' contexts are found by their names; nobody logs in to the others.
func TestField17OnlyWhatCanMatter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rename map[string]string // context names that say nothing
		runs   int
	}{
		"names tell":            {nil, 3},
		"one name says nothing": {map[string]string{"kind-ap": "production"}, 23},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, "")
			k := newKubeconfig("kind-us")
			var mu sync.Mutex
			var order []string
			for n, name := range []string{"us", "eu", "ap"} {
				f := newFakeAPI(t, name, n+1, "us", "eu", "ap")
				f.before = func(*http.Request) {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, f.name)
				}
				context := "kind-" + name
				if to := c.rename[context]; to != "" {
					context = to
				}
				k.add(context, f.URL, f.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, context))
			}
			for n := range 20 {
				f := newFakeAPI(t, fmt.Sprintf("other%d", n), 100+n)
				k.add(fmt.Sprintf("aa-%d", n), f.URL, f.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, fmt.Sprint(n)))
			}
			flags := k.flags(t)
			flags.headStart = watchdog // the plugin is fast, but this machine may be busy
			sel, err := selected(hosted(t), t, flags)
			if err != nil || len(sel.Failed()) > 0 || len(sel.Members) != 3 {
				t.Fatalf("%v: %v %s", err, described(sel), everything(sel))
			}
			runs := s.lines(t, "run")
			if len(runs) != c.runs || runs[0] != "kind-us" {
				t.Errorf("%d runs, first %q", len(runs), runs[0])
			}
			mu.Lock()
			defer mu.Unlock()
			if order[0] != "us" {
				t.Errorf("asked in the order %v", order)
			}
			if notes := strings.Join(sel.Notes, "\n"); c.runs == 3 && !strings.Contains(notes, "aa-0") || c.runs != 3 && notes != "" {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

// TestField17SilentContextsAreLeftOut: once every peer has answered, contexts that do not answer cost a second and not their deadline.
func TestField17SilentContextsAreLeftOut(t *testing.T) {
	t.Parallel()
	us, eu := newFakeAPI(t, "us", 1, "eu"), newFakeAPI(t, "eu", 2, "us")
	k := newKubeconfig("us")
	k.api("us", us, "x")
	k.api("production", eu, "y")
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mute.Close() }()
	hangs := newScript(t, "sleep 1000")
	for n := range 18 {
		k.add(fmt.Sprintf("silent-%d", n), fmt.Sprintf("http://%s/%d", mute.Addr(), n), nil, &clientcmdapi.AuthInfo{Token: fmt.Sprint(n)})
		k.add(fmt.Sprintf("dead-%d", n), fmt.Sprintf("%s/%d", nobody, n), nil, &clientcmdapi.AuthInfo{Token: fmt.Sprint(n)})
		k.add(fmt.Sprintf("login-%d", n), fmt.Sprintf("%s/login-%d", nobody, n), nil, hangs.exec(clientcmdapi.NeverExecInteractiveMode, fmt.Sprint(n)))
	}
	f := k.flags(t)
	f.Timeout = time.Hour
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) > 0 || len(sel.Members) != 2 || len(sel.Warnings) > 0 {
		t.Fatalf("%v: %v %s", err, described(sel), everything(sel))
	}
	if notes := strings.Join(sel.Notes, "\n"); !strings.Contains(notes, "silent-0") {
		t.Errorf("notes %q", notes)
	}
}

// TestField17Progress: after a second the user is told what the command waits for.
func TestField17Progress(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1, "eu")
	told := make(chan struct{})
	var once sync.Once
	var lines []string
	go1 := filepath.Join(t.TempDir(), "go")
	s := newScript(t, `while [ ! -e `+go1+` ]; do sleep 0.05; done`)
	k := newKubeconfig("us")
	k.add("us", us.URL, us.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, "x"))
	f := k.flags(t, "us")
	f.Timeout = watchdog
	f.Progress = func(line string) {
		lines = append(lines, line)
		once.Do(func() { close(told) })
	}
	go func() {
		<-told
		_ = os.WriteFile(go1, nil, 0o600)
	}()
	if _, err := selected(hosted(t), t, f); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"Waiting for credential plugin plugin of context us"}, lines); d != "" {
		t.Error(d)
	}
}
