package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/creack/pty"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	clientcmdlatest "k8s.io/client-go/tools/clientcmd/api/latest"
	clientcmdapiv1 "k8s.io/client-go/tools/clientcmd/api/v1"
)

// Env is the lab as the table uses it.
type Env struct {
	T         *testing.T
	Namespace string // of the test, not created yet
	Dir       string // for files; every run has a directory of its own below it
	Lab       string // the lab's kubeconfig

	matrix  Matrix
	clients map[string]dynamic.Interface
	configs map[string]*rest.Config
	direct  map[string]*Layer // without a fault
}

func newEnv(t *testing.T, m Matrix) *Env {
	t.Helper()
	e := &Env{T: t, Namespace: "faults-" + strings.TrimPrefix(m.Binary, "kubectl-mesh_"), Dir: t.TempDir(), Lab: os.Getenv("MESHLAB_KUBECONFIG"), matrix: m,
		clients: map[string]dynamic.Interface{}, configs: map[string]*rest.Config{}, direct: map[string]*Layer{}}
	if e.Lab == "" {
		t.Fatal("MESHLAB_KUBECONFIG is not set: there is no lab; run make faults")
	}
	file, err := clientcmd.LoadFromFile(e.Lab)
	e.must(err)
	for name := range file.Contexts {
		config, err := clientcmd.NewDefaultClientConfig(*file, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
		e.must(err)
		config.QPS = -1
		e.configs[name] = config
		e.clients[name], err = dynamic.NewForConfig(config)
		e.must(err)
		layer, err := Open(config, Fault{})
		e.must(err)
		t.Cleanup(layer.Close)
		e.direct[name] = layer
	}
	return e
}

func (e *Env) must(err error) {
	e.T.Helper()
	if err != nil {
		e.T.Fatal(err)
	}
}

// Kubectl runs kubectl with the lab's kubeconfig, and input as stdin.
func (e *Env) Kubectl(input string, args ...string) string {
	e.T.Helper()
	cmd := exec.CommandContext(e.T.Context(), "kubectl", append([]string{"--kubeconfig", e.Lab}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		e.T.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return out.String()
}

// Contexts are those of the lab.
func (e *Env) Contexts() []string { return slices.Sorted(maps.Keys(e.configs)) }

// Plugin runs the plugin without a fault. It must succeed.
func (e *Env) Plugin(args ...string) (stdout, stderr string) {
	e.T.Helper()
	r := e.exec(e.kubeconfig(nil, "", false), e.Dir, nil, slices.Concat(args, e.matrix.Global))
	if r.code != 0 {
		e.T.Fatalf("%s %s: exit code %d\n%s%s", e.matrix.Binary, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout, r.stderr
}

// kubeconfig writes one whose contexts lead to layers, the faulty one to the given layer. suffix is added to the names of its entries. current makes it the current context.
func (e *Env) kubeconfig(faulty *Layer, suffix string, current bool) string {
	file := clientcmdapi.NewConfig()
	file.CurrentContext = "kind-us"
	if current {
		file.CurrentContext = "kind-" + e.matrix.Faulty + suffix
	}
	for name, layer := range e.direct {
		if faulty != nil && name == "kind-"+e.matrix.Faulty {
			layer = faulty
			name += suffix
		}
		file.Clusters[name], file.AuthInfos[name] = layer.Cluster(), &clientcmdapi.AuthInfo{Token: "unused"}
		file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	dir, err := os.MkdirTemp(e.Dir, "kubeconfig-")
	e.must(err)
	path := filepath.Join(dir, "config")
	text, err := escaped(file)
	e.must(err)
	e.must(os.WriteFile(path, text, 0o600))
	return path
}

// escaped writes a kubeconfig as JSON, which is YAML. clientcmd cannot write names with control characters.
func escaped(file *clientcmdapi.Config) ([]byte, error) {
	var versioned clientcmdapiv1.Config
	if err := clientcmdlatest.Scheme.Convert(file, &versioned, nil); err != nil {
		return nil, err
	}
	text, err := json.Marshal(versioned)
	var out bytes.Buffer
	for _, r := range string(text) {
		if r < unicode.MaxASCII {
			out.WriteRune(r)
			continue
		}
		fmt.Fprintf(&out, `\u%04x`, r)
	}
	return out.Bytes(), err
}

// baseline runs a command without a fault. Its exit code must be that of the row.
func (e *Env) baseline(r Row, current bool) run {
	none := Fault{Current: current}
	got := e.run(r, none)
	if r.Timed && got.code != r.Exit {
		e.T.Logf("%s without a fault: exit code %d; it is run once more\n%s%s", r.Command, got.code, got.stdout, got.stderr)
		got = e.run(r, none)
	}
	if got.code != r.Exit {
		e.T.Errorf("%s without a fault: exit code %d, want %d\n%s%s", r.Command, got.code, r.Exit, got.stdout, got.stderr)
	}
	return got
}

// run prepares and runs a command with a fault, says what it changed, and restores that.
func (e *Env) run(r Row, f Fault) run { return e.runIn(r, f, "", e.exec) }

// runner runs the plugin.
type runner func(kubeconfig, dir string, env, args []string) run

func (e *Env) runIn(r Row, f Fault, suffix string, how runner) run {
	dir, err := os.MkdirTemp(e.Dir, "run-")
	e.must(err)
	serial := r.serial()
	var origin, before state
	if serial {
		origin, err = observe(e.T.Context(), e.clients)
		e.must(err)
		before = origin
	}
	args := slices.Concat(strings.Fields(r.Command), r.Args)
	if r.Prepare != nil {
		args = append(args, r.Prepare(e)...)
		before, err = observe(e.T.Context(), e.clients)
		e.must(err)
	}
	if !r.Offline {
		args = append(args, e.matrix.Global...)
	}
	if suffix != "" {
		for n, a := range args {
			if strings.Contains(a, "kind-"+e.matrix.Faulty) {
				args[n] = strings.Replace(a, "kind-"+e.matrix.Faulty, "kind-"+e.matrix.Faulty+"*", 1) // its context has another name
			}
		}
	}
	layer, err := Open(e.configs["kind-"+e.matrix.Faulty], f)
	e.must(err)
	got := how(e.kubeconfig(layer, suffix, f.Current), dir, layer.Env(), args)
	got.met = !f.Writes || layer.Met() > 0
	layer.Close()
	got.files = files(dir)
	if serial {
		after, err := observe(e.T.Context(), e.clients)
		e.must(err)
		got.changed, got.objects = changes(before, after), differing(before, after)
		e.must(restore(e.T.Context(), e.clients, origin, after))
	}
	return got
}

// exec runs the plugin until its end or the hard limit.
func (e *Env) exec(kubeconfig, dir string, env, args []string) run {
	ctx, cancel := context.WithTimeout(e.T.Context(), hardLimit)
	defer cancel()
	cmd := e.command(ctx, kubeconfig, dir, append(env, "COLUMNS=500"), args)
	cmd.WaitDelay = time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		e.T.Error(err)
		return run{code: -1, stderr: err.Error()}
	}
	return run{stdout: out.String(), stderr: errOut.String(), code: cmd.ProcessState.ExitCode(), tooLong: ctx.Err() != nil}
}

func (e *Env) command(ctx context.Context, kubeconfig, dir string, env, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.matrix.Binary, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_STATE_HOME=" + filepath.Join(e.Dir, "state"), "KUBECONFIG=" + kubeconfig}, env...)
	return cmd
}

// ours are the escape sequences that the plugins themselves send to a terminal: colours, and the lines that show progress.
var ours = regexp.MustCompile(`\x1b\[[0-9;]*m|\x1b\[[KJ]|\x1b\[[0-9]+A|\r`)

// onTerminal runs the plugin in a terminal of 80 columns, without --yes, and answers no to its question. stdout is what the terminal got, without the escape
// sequences that the plugins send.
func (e *Env) onTerminal(kubeconfig, dir string, env, args []string) run {
	ctx, cancel := context.WithTimeout(e.T.Context(), hardLimit)
	defer cancel()
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--yes" })
	cmd := e.command(ctx, kubeconfig, dir, append(env, "TERM=xterm"), args)
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		e.T.Error(err)
		return run{code: -1}
	}
	defer context.AfterFunc(ctx, func() { _ = screen.Close() })() // a child of the plugin could keep it open
	_, _ = screen.WriteString("no\n")                             // read when the command asks
	shown, _ := io.ReadAll(screen)                                // Linux answers EIO when nobody has the terminal open
	_ = screen.Close()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		e.T.Error(err)
	}
	return run{stdout: ours.ReplaceAllString(string(shown), ""), code: cmd.ProcessState.ExitCode(), tooLong: ctx.Err() != nil}
}

// files are those that a command left in its directory, by their names. What libraries keep in hidden directories is not meant.
func files(dir string) []string {
	var out []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []string{err.Error()}
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			out = append(out, entry.Name())
		}
	}
	return out
}

// document reports whether the row prints a document.
func (r Row) document(e *Env) bool {
	for n, a := range slices.Concat(r.Args, e.matrix.Global) {
		if a == "json" && n > 0 {
			return true
		}
	}
	return false
}

// InNamespace creates the test's namespace with these objects in some contexts. It is deleted at the end.
func (e *Env) InNamespace(objects string, contexts ...string) {
	e.T.Helper()
	for _, c := range contexts {
		e.Kubectl("", "--context", c, "wait", "--for=delete", "namespace/"+e.Namespace, "--timeout=120s") // that of the test before
		e.Kubectl("", "--context", c, "create", "namespace", e.Namespace)
		e.T.Cleanup(func() {
			cmd := exec.CommandContext(context.Background(), "kubectl", "--kubeconfig", e.Lab, "--context", c, "delete", "namespace", e.Namespace, "--wait=false")
			if out, err := cmd.CombinedOutput(); err != nil {
				e.T.Errorf("%v\n%s", err, out)
			}
		})
		if objects == "" {
			continue
		}
		// Not by apply, which would be an owner of the annotations, and would keep them in one.
		e.Kubectl(objects, "--context", c, "-n", e.Namespace, "create", "-f", "-")
	}
}
