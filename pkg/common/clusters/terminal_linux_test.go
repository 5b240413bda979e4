package clusters

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
)

const (
	// helperEnv makes the test binary a command that selects all contexts of a kubeconfig, as the plugins do.
	helperEnv = "CLUSTERS_TEST_KUBECONFIG"
	// helperMesh in the environment makes it select the mesh of the current context.
	helperMesh = "CLUSTERS_TEST_MESH"
)

// TestMain fails if a goroutine is left when all tests have ended.
func TestMain(m *testing.M) {
	kubeconfig := os.Getenv(helperEnv)
	if kubeconfig == "" {
		goleak.VerifyTestMain(m)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, release := execplugin.WithHost(ctx)
	f := NewFlags()
	f.Config.KubeConfig, f.AllContexts = &kubeconfig, os.Getenv(helperMesh) == ""
	f.Timeout, _ = time.ParseDuration(os.Getenv("CLUSTERS_TEST_TIMEOUT"))
	f.Progress = func(line string) { fmt.Fprintln(os.Stderr, line) }
	sel, err := f.Select(ctx)
	interrupted := ctx.Err() != nil
	release()
	stop()
	if interrupted && errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stdout, "INTERRUPTED")
		os.Exit(130)
	}
	fmt.Fprintln(os.Stdout, "SELECTED", err, strings.ReplaceAll(everything(sel), "\n", "; "))
	os.Exit(0)
}

// onTerminal is a command on a terminal of its own.
type onTerminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File

	mu   sync.Mutex
	text string
}

// runOnTerminal selects the contexts of a kubeconfig on a pseudo-terminal. env is added to the environment.
func runOnTerminal(t *testing.T, k kubeconfigOf, timeout time.Duration, env ...string) *onTerminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there is no pseudo-terminal: %v", err)
	}
	var number, unlocked uint32
	for request, value := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slave.Close() }()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &onTerminal{t: t, cmd: exec.CommandContext(t.Context(), self), master: master}
	c.cmd.Env = append(append(os.Environ(), helperEnv+"="+k.write(t), "CLUSTERS_TEST_TIMEOUT="+timeout.String()), env...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Wait() // the test may have waited already, and how it ended is its affair
		_ = master.Close()
	})
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			c.mu.Lock()
			c.text += string(buf[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *onTerminal) screen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text
}

// expect waits until the screen shows a text.
func (c *onTerminal) expect(text string) {
	c.t.Helper()
	for end := time.Now().Add(watchdog); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // between two looks
		if strings.Contains(c.screen(), text) {
			return
		}
	}
	c.t.Fatalf("%q does not appear: %s", text, c.screen())
}

// types writes to the terminal as a person does.
func (c *onTerminal) types(text string) {
	c.t.Helper()
	if _, err := c.master.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// TestField17Prompts: a plugin that may prompt has the terminal to itself, and the time that a person takes does not count.
func TestField17Prompts(t *testing.T) {
	t.Parallel()
	s := newScript(t, `printf 'password of %s: ' "$1" >&2; [ "$1" != b ] || stty -echo; read p; [ "$1" != b ] || stty echo; [ "$p" = "secret-$1" ] || exit 1; echo "end $1" >> "$(dirname "$0")/log"`)
	k := newKubeconfig("a")
	for n, name := range []string{"a", "b", "c"} {
		f := newFakeAPI(t, name, n+1)
		f.tokens = []string{name}
		k.add(name, f.URL, f.ca(), s.exec(clientcmdapi.IfAvailableExecInteractiveMode, name))
	}
	const timeout = time.Second
	c := runOnTerminal(t, k, timeout)
	for n, name := range []string{"a", "b", "c"} {
		c.expect("password of " + name + ": ")
		if runs, ends := len(s.lines(t, "run")), len(s.lines(t, "end")); runs != n+1 || ends != n {
			t.Errorf("at the prompt of %s %d plugins have begun and %d have ended", name, runs, ends)
		}
		if n < 2 {
			time.Sleep(2 * timeout) // a person who is slower than the deadline: what is tested
		}
		c.types("secret-" + name + "\n")
	}
	// Whether the API servers answer within the deadline is not what is tested.
	c.expect("SELECTED <nil>")
	if screen := c.screen(); strings.Contains(screen, "secret-b") || strings.Contains(screen, `credential plugin "plugin"`) || len(s.lines(t, "end")) != 3 {
		t.Errorf("%v: %s", s.lines(t, "end"), screen)
	}
}

// TestField17TerminalDeadline: a plugin that may prompt and hangs without reading from the terminal ends at its deadline.
func TestField17TerminalDeadline(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1)
	s := newScript(t, `echo "pid $$" >> "$(dirname "$0")/log"; sleep 1000`)
	k := newKubeconfig("us")
	k.add("us", us.URL, us.ca(), s.exec(clientcmdapi.IfAvailableExecInteractiveMode, "x"))
	c := runOnTerminal(t, k, 3*time.Second)
	c.expect("did not finish within 3s (--cluster-timeout)")
	pids := s.lines(t, "pid")
	if len(pids) != 1 {
		t.Fatalf("pids %q", pids)
	}
	dies(t, pids[0])
}

// TestField17CtrlC: the first Ctrl-C ends the command and the plugin, whichever of them has the terminal.
func TestField17CtrlC(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode clientcmdapi.ExecInteractiveMode
		body string
	}{
		"at a prompt":            {clientcmdapi.IfAvailableExecInteractiveMode, `printf 'password: ' >&2; read p`},
		"at a prompt, ignored":   {clientcmdapi.IfAvailableExecInteractiveMode, `trap '' INT TERM; printf 'password: ' >&2; while true; do read p; done`},
		"while a plugin hangs":   {clientcmdapi.NeverExecInteractiveMode, `printf 'password: ' >&2; sleep 1000`},
		"with a child, ignored":  {clientcmdapi.NeverExecInteractiveMode, `trap '' INT TERM; sleep 1000 & echo "pid $!" >> "$(dirname "$0")/log"; printf 'password: ' >&2; wait; sleep 1000`},
		"in one that may prompt": {clientcmdapi.IfAvailableExecInteractiveMode, `printf 'password: ' >&2; sleep 1000`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := newFakeAPI(t, "us", 1)
			s := newScript(t, `echo "pid $$" >> "$(dirname "$0")/log"; `+c.body)
			k := newKubeconfig("us")
			k.add("us", us.URL, us.ca(), s.exec(c.mode, "x"))
			term := runOnTerminal(t, k, time.Hour)
			term.expect("password: ")
			time.Sleep(200 * time.Millisecond) // so that the plugin reads; the outcome is the same if it does not yet
			began := time.Now()
			term.types("\x03")
			term.expect("INTERRUPTED")
			if took := time.Since(began); took > time.Minute { // the target is a second; this machine may be busy, and the deadline is an hour
				t.Errorf("it took %s", took)
			}
			if err := term.cmd.Wait(); term.cmd.ProcessState.ExitCode() != 130 {
				t.Error(err)
			}
			for _, pid := range s.lines(t, "pid") {
				dies(t, pid)
			}
		})
	}
}
