//go:build unix

package clusters

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// watchdog ends a wait that never comes true.
const watchdog = 4 * time.Minute

// script is a credential plugin: a shell script with a log.
type script struct{ path, log string }

// newScript writes a plugin. It logs "run" and its first argument, does what body says, and prints its first argument as a token.
func newScript(t *testing.T, body string) script {
	t.Helper()
	dir := t.TempDir()
	s := script{filepath.Join(dir, "plugin"), filepath.Join(dir, "log")}
	text := "#!/bin/sh\necho \"run $1\" >> " + s.log + "\n" + body + "\n" +
		`echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"$1\"}}"` + "\n"
	if err := os.WriteFile(s.path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// exec returns the user entry that runs the plugin.
func (s script) exec(mode clientcmdapi.ExecInteractiveMode, args ...string) *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{Command: s.path, Args: args, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: mode}}
}

// lines returns the lines of the log that begin with a word.
func (s script) lines(t *testing.T, word string) []string {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), word+" "); ok {
			out = append(out, rest)
		}
	}
	return out
}

// hosted returns a context with a host of plugins, as main makes it.
func hosted(t *testing.T) context.Context {
	t.Helper()
	ctx, release := execplugin.WithHost(t.Context())
	t.Cleanup(release)
	return ctx
}

// selected runs Select; it fails the test if that takes as long as a watchdog.
func selected(ctx context.Context, t *testing.T, f *Flags) (*Selection, error) {
	t.Helper()
	type result struct {
		sel *Selection
		err error
	}
	done := make(chan result, 1)
	go func() {
		sel, err := f.Select(ctx)
		done <- result{sel, err}
	}()
	select {
	case r := <-done:
		return r.sel, r.err
	case <-time.After(watchdog):
		t.Fatal("Select does not return")
	}
	return nil, nil
}

func dies(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(watchdog); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // between two looks
		if syscall.Kill(n, 0) != nil {
			return
		}
		// A zombie that nobody waits for is dead too.
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %s lives on", pid)
}

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
			sel, err := selected(hosted(t), t, k.flags(t))
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

// TestField17HangingPlugin: it ends at its deadline with all that it started, and what it was is said; an interrupt ends it at once.
func TestField17HangingPlugin(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]bool{"deadline": false, "interrupt": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := newFakeAPI(t, "us", 1)
			s := newScript(t, `trap '' TERM; sleep 1000 & echo "pid $$" >> "$(dirname "$0")/log"; echo "pid $!" >> "$(dirname "$0")/log"; wait; sleep 1000`)
			k := newKubeconfig("us")
			k.add("us", us.URL, us.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, "x"))
			f := k.flags(t, "us")
			ctx, cancel := context.WithCancel(hosted(t))
			defer cancel()
			f.Timeout = watchdog
			if interrupt {
				go func() {
					for len(s.lines(t, "pid")) < 2 {
						time.Sleep(10 * time.Millisecond) // between two looks
					}
					cancel()
				}()
			} else {
				f.Timeout = 2 * time.Second
			}
			sel, err := selected(ctx, t, f)
			switch {
			case interrupt && (err == nil || ctx.Err() == nil):
				t.Errorf("error %v", err)
			case !interrupt && (err != nil || sel.Members[0].Err == nil || sel.Members[0].Err.Class != failure.Timeout || !strings.Contains(sel.Members[0].Err.Error(), `credential plugin "plugin" did not finish within 2s (--cluster-timeout)`)):
				t.Errorf("%v: %s", err, everything(sel))
			}
			for _, pid := range s.lines(t, "pid") {
				dies(t, pid)
			}
		})
	}
}

// TestField17AFailingPluginRunsOnce: not again for each request, and not for each context with the same configuration.
func TestField17AFailingPluginRunsOnce(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1)
	s := newScript(t, "exit 3")
	k := newKubeconfig("c0")
	for n := range 10 {
		k.add(fmt.Sprintf("c%d", n), us.URL, us.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, "x"))
	}
	f := k.flags(t)
	f.AllContexts = true
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) != 10 || !strings.Contains(everything(sel), `credential plugin "plugin" failed with exit code 3`) {
		t.Fatalf("%v: %s", err, everything(sel))
	}
	if runs := s.lines(t, "run"); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
	if us.requests() > 0 {
		t.Error("a server was asked without credentials")
	}
}

// TestField17RejectedCredentials: client-go runs the plugin again when the API server rejects what it printed, but not for every request.
func TestField17RejectedCredentials(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1)
	us.tokens = []string{"another"}
	s := newScript(t, "")
	k := newKubeconfig("us")
	k.add("us", us.URL, us.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, "x"))
	sel, err := selected(hosted(t), t, k.flags(t, "us"))
	if err != nil || len(sel.Failed()) != 1 || sel.Members[0].Err.Class != failure.Unauthorized {
		t.Fatalf("%v: %s", err, everything(sel))
	}
	if runs := s.lines(t, "run"); len(runs) > 2 {
		t.Errorf("%d runs", len(runs))
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

// TestField17Protocol: what a plugin gets and may answer is the same as if client-go ran it.
func TestField17Protocol(t *testing.T) {
	t.Parallel()
	certificate, key := clientCertificate(t)
	cases := map[string]struct {
		change func(*clientcmdapi.ExecConfig)
		body   string
		seen   []string // in the environment and arguments that the plugin logs
		err    string
		runs   int
	}{
		"v1":                      {func(*clientcmdapi.ExecConfig) {}, "", []string{`"apiVersion":"client.authentication.k8s.io/v1"`, `"interactive":false`, "[tok][a b]", "[]"}, "", 1},
		"v1beta1":                 {func(e *clientcmdapi.ExecConfig) { e.APIVersion = "client.authentication.k8s.io/v1beta1" }, v1beta1, []string{`"apiVersion":"client.authentication.k8s.io/v1beta1"`}, "", 1},
		"env":                     {func(e *clientcmdapi.ExecConfig) { e.Env = []clientcmdapi.ExecEnvVar{{Name: "MINE", Value: "x=y z"}} }, "", []string{"mine:x=y z"}, "", 1},
		"cluster info":            {func(e *clientcmdapi.ExecConfig) { e.ProvideClusterInfo = true }, "", []string{`"server":"https://127.0.0.1`, `"certificate-authority-data"`}, "", 1},
		"a certificate":           {func(*clientcmdapi.ExecConfig) {}, printCredential(`"clientCertificateData":"` + certificate + `","clientKeyData":"` + key + `"`), nil, "", 1},
		"a token that is expired": {func(*clientcmdapi.ExecConfig) {}, printCredential(`"token":"tok","expirationTimestamp":"2020-01-01T00:00:00Z"`), nil, "", 5},
		"a token for a while":     {func(*clientcmdapi.ExecConfig) {}, printCredential(`"token":"tok","expirationTimestamp":"2120-01-01T00:00:00Z"`), nil, "", 1},
		"no credential":           {func(*clientcmdapi.ExecConfig) {}, "echo nonsense; exit 0", nil, "decoding stdout", 1},
		"no command": {func(e *clientcmdapi.ExecConfig) {
			e.Command, e.InstallHint = "no-such-plugin-anywhere", "get it at the shop"
		}, "", nil, "get it at the shop", 0},
		"always without terminal": {func(e *clientcmdapi.ExecConfig) { e.InteractiveMode = clientcmdapi.AlwaysExecInteractiveMode }, "", nil, "standard input is not a terminal", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := newFakeAPI(t, "us", 1)
			us.before = func(r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer tok" && len(r.TLS.PeerCertificates) == 0 {
					t.Error("a request without credentials")
				}
			}
			s := newScript(t, `{ echo "seen $KUBERNETES_EXEC_INFO"; echo "seen [$1][$2]"; echo "seen [$KUBECTL_MESH_EXEC_PLUGIN]"; echo "seen mine:$MINE"; } >> "$(dirname "$0")/log"`+"\n"+c.body)
			user := s.exec(clientcmdapi.NeverExecInteractiveMode, "tok", "a b")
			c.change(user.Exec)
			k := newKubeconfig("us")
			k.add("us", us.URL, us.ca(), user)
			sel, err := selected(hosted(t), t, k.flags(t, "us"))
			if err != nil {
				t.Fatal(err)
			}
			if said := everything(sel); (said == "") != (c.err == "") || !strings.Contains(said, c.err) {
				t.Errorf("said %s", said)
			}
			seen := strings.Join(s.lines(t, "seen"), "\n")
			for _, want := range c.seen {
				if !strings.Contains(seen, want) {
					t.Errorf("%q is missing in %s", want, seen)
				}
			}
			if runs := len(s.lines(t, "run")); runs != c.runs && (c.runs != 5 || runs < 2) {
				t.Errorf("%d runs", runs)
			}
		})
	}
}

// TestField17RelativeCommand: a path with a separator is relative to the kubeconfig, as kubectl has it.
func TestField17RelativeCommand(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1)
	s := newScript(t, "")
	k := newKubeconfig("us")
	user := s.exec(clientcmdapi.NeverExecInteractiveMode, "x")
	user.Exec.Command = "./plugin"
	k.add("us", us.URL, us.ca(), user)
	f := k.flags(t, "us")
	from := *f.Config.KubeConfig
	to := filepath.Join(filepath.Dir(s.path), "kubeconfig")
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f.Config.KubeConfig = &to
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) > 0 {
		t.Fatalf("%v: %s", err, everything(sel))
	}
}

const v1beta1 = `echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"tok"}}'; exit 0`

func printCredential(status string) string {
	return `cat <<'END'
{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{` + status + `}}
END
exit 0`
}

// clientCertificate returns a certificate and its key as JSON strings hold them.
func clientCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), "\n", `\n`)
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", pkcs8)
}

// TestField17RegionsAreNoNames lists names of entries, and the clusters that they name.
func TestField17RegionsAreNoNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"kind-eu": {"eu"}, "EU": {"eu"}, "eu1": nil, "feu": nil, "eu-us": {"eu", "us"}, "prod-eu": {"prod-eu"}, "prod": {"prod"},
		"arn:aws:eks:eu-west-1:123456789012:cluster/us": {"us"}, "gke_us_europe-west1-b_eu": {"eu"}, "admin@us.eu-central-1.eksctl.io": {"us"},
		"clusterUser_eu_us": {"eu", "us"}, "us-gov-west-1/eu": {"eu"},
	} {
		got := entry{names: []string{name}}.mentions([]string{"us", "eu", "prod", "prod-eu"})
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" && len(want)+len(got) > 0 {
			t.Errorf("%s: %s", name, d)
		}
	}
}
