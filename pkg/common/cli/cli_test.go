package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log" //nolint:depguard // what net/http writes to it must not reach the user
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
)

// asPlugin is set where this test's binary stands in for a plugin.
const asPlugin = "KUBECTL_MESH_TEST_PLUGIN"

// TestMain fails if a goroutine is left when all tests have ended.
func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	root := NewRoot(Plugin{Binary: "kubectl-mesh_test", Display: "kubectl mesh-test"}, streams)
	root.AddCommand(
		&cobra.Command{Use: "wait", RunE: func(cmd *cobra.Command, _ []string) error {
			_, _ = fmt.Fprintln(streams.Out, "waiting")
			<-cmd.Context().Done()
			return cmd.Context().Err()
		}},
		&cobra.Command{Use: "ask", RunE: func(cmd *cobra.Command, _ []string) error {
			return confirm.Prompter{In: streams.In, ErrOut: streams.Out, Terminal: true}.Ask(cmd.Context(), "Go on?\n")
		}},
		&cobra.Command{Use: "pipe", RunE: func(_ *cobra.Command, args []string) error {
			if args[0] == "survive" {
				SurviveBrokenPipes()
			}
			_, _ = fmt.Fprintln(streams.Out, "waiting")
			_, _ = io.Copy(io.Discard, streams.In) // until nobody reads the output any more
			_, _ = fmt.Fprintln(streams.Out, "lost")
			_, _ = fmt.Fprintln(streams.ErrOut, "lost too")
			return os.WriteFile(args[1], nil, 0o600)
		}},
		&cobra.Command{Use: "log", RunE: func(*cobra.Command, []string) error {
			klog.Warning("a warning of client-go")
			klog.ErrorS(os.ErrDeadlineExceeded, "an error of a reflector")
			klog.V(5).Info("details")
			stdlog.Print("a line of net/http")
			return nil
		}},
	)
	os.Exit(Main(SignalContext(context.Background()), root, streams))
}

// plugin starts this binary as a plugin with stdin that stays open.
func plugin(t *testing.T, args ...string) (cmd *exec.Cmd, out *bufio.Reader, errOut *strings.Builder) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), asPlugin+"=1")
	errOut = &strings.Builder{}
	cmd.Stderr = errOut
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(stdout), errOut
}

func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"verson":     "; did you mean version?",
		"Complteion": "; did you mean completion?",
		"comp":       "; did you mean completion?",
		"opitons":    "; did you mean options?",
		"frobnicate": `; run "kubectl mesh-test --help"`,
	} {
		for _, args := range [][]string{{name}, {"help", name}} {
			p := Plugin{Binary: "kubectl-mesh_test", Display: "kubectl mesh-test"}
			root := NewRoot(p, genericiooptions.NewTestIOStreamsDiscard())
			root.SetArgs(args)
			want := fmt.Sprintf("unknown command %q for %q", name, p.Display) + want
			if err := root.ExecuteContext(t.Context()); err == nil || err.Error() != want {
				t.Errorf("%q: error %v, want %s", args, err, want)
			}
		}
	}
}

// TestFieldDSignals: each signal interrupts, with one exit code and one message.
func TestFieldDSignals(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if signal.Ignored(s) {
			continue // these tests run under nohup, and so do the commands
		}
		for command, want := range map[string]string{"wait": "error: interrupted\n", "ask": "\nerror: interrupted; nothing was changed\n"} {
			t.Run(s.String()+" "+command, func(t *testing.T) {
				t.Parallel()
				cmd, out, errOut := plugin(t, command)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := out.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, out)
				_ = cmd.Wait() // the exit code is looked at
				if got := cmd.ProcessState.ExitCode(); got != ExitInterrupted || strings.TrimLeft(errOut.String(), "\n") != strings.TrimLeft(want, "\n") {
					t.Errorf("exit code %d, %q", got, errOut.String())
				}
			})
		}
	}
}

// TestBrokenPipe: a command that writes goes on when nobody reads its output any more, as with 2>&1 | grep -m1. One that reads ends.
//
//nolint:paralleltest // A process that another test starts has the read end for a moment, between fork and exec.
func TestBrokenPipe(t *testing.T) {
	for _, mode := range []string{"survive", "end"} {
		wrote := filepath.Join(t.TempDir(), "wrote")
		exe, err1 := os.Executable()
		r, w, err2 := os.Pipe()
		stdin, hold, err3 := os.Pipe()
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), exe, "pipe", mode, wrote)
		cmd.Env = append(os.Environ(), asPlugin+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, w, w
		if err := errors.Join(cmd.Start(), w.Close(), stdin.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(r).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Close(), hold.Close()); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // how it ended is looked at
		_, err := os.Stat(wrote)
		if survived := err == nil; survived != (mode == "survive") {
			t.Errorf("%s: it ended with %s, wrote: %v", mode, cmd.ProcessState, survived)
		}
	}
}

// TestFieldDNohup: a command that nohup started goes on when its terminal is closed.
func TestFieldDNohup(t *testing.T) {
	t.Parallel()
	nohup, err := exec.LookPath("nohup")
	if err != nil {
		t.Skip("there is no nohup here")
	}
	cmd, out, _ := plugin(t, "wait")
	cmd.Args, cmd.Path = append([]string{nohup}, cmd.Args...), nohup
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // the exit code is looked at
	if got := cmd.ProcessState.ExitCode(); got != ExitInterrupted {
		t.Errorf("exit code %d: SIGHUP ended it", got)
	}
}

// TestFieldDNoLogLines: nothing that a library logs reaches the user without -v.
func TestFieldDNoLogLines(t *testing.T) {
	t.Parallel()
	for args, want := range map[string][]string{
		"log":      nil,
		"log -v=0": nil,
		"log -v=1": {"a warning of client-go", "an error of a reflector", "a line of net/http"},
		"log -v=6": {"a warning of client-go", "details"},
	} {
		cmd, out, errOut := plugin(t, strings.Fields(args)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		if want == nil && errOut.Len() > 0 {
			t.Errorf("%s: %s", args, errOut)
		}
		for _, w := range want {
			if !strings.Contains(errOut.String(), w) {
				t.Errorf("%s: no %q in %q", args, w, errOut)
			}
		}
	}
}

// TestFieldDDryRun: the values and messages are kubectl's.
func TestFieldDDryRun(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string][2]string{
		"":                 {string(DryRunNone), ""},
		"--dry-run=none":   {string(DryRunNone), ""},
		"--dry-run=client": {string(DryRunClient), ""},
		"--dry-run=server": {string(DryRunServer), ""},
		"--dry-run":        {string(DryRunClient), "--dry-run is deprecated and can be replaced with --dry-run=client."},
		"--dry-run=true":   {string(DryRunClient), "--dry-run=true is deprecated (boolean value) and can be replaced with --dry-run=client."},
		"--dry-run=false":  {string(DryRunNone), "--dry-run=false is deprecated (boolean value) and can be replaced with --dry-run=none."},
	} {
		var d DryRun
		fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
		d.AddFlag(fs, "")
		if err := fs.Parse(strings.Fields(arg)); err != nil || string(d.Value) != want[0] || d.Deprecated != want[1] {
			t.Errorf("%q: %+v, %v", arg, d, err)
		}
	}
	var d DryRun
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	d.AddFlag(fs, "")
	if err := fs.Parse([]string{"--dry-run=srever"}); err == nil || !strings.Contains(err.Error(), `must be "none", "server", or "client"`) {
		t.Errorf("%v", err)
	}
}
