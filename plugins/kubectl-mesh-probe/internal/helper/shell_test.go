//go:build linux

package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watchdog ends a wait that never comes true. It asserts no duration.
const watchdog = 4 * time.Minute

// sigusr1 is the sign of life.
const sigusr1 = syscall.SIGUSR1

// shells are what images have as sh.
var shells = map[string][]string{"dash": {"dash"}, "busybox": {"busybox", "sh"}, "bash": {"bash", "--posix"}}

// shell replaces sh by a shell of this machine.
func shell(t *testing.T, name string, command []string) []string {
	t.Helper()
	if _, err := exec.LookPath(shells[name][0]); err != nil {
		t.Skipf("%s is not installed", name)
	}
	return append(append([]string{}, shells[name]...), command[1:]...)
}

// process starts the process of a container and returns a channel with its exit code. It waits until the shell has set both traps: a signal
// before them ends the shell without an exit code.
func process(t *testing.T, name string, argv []string) (*exec.Cmd, <-chan int) {
	t.Helper()
	argv = shell(t, name, argv)
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan int, 1)
	go func() {
		_ = cmd.Wait()
		ended <- cmd.ProcessState.ExitCode()
	}()
	for deadline := time.Now().Add(watchdog); !handles(t, cmd.Process.Pid, syscall.SIGTERM, sigusr1); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the shell sets no traps")
		}
	}
	return cmd, ended
}

// handles reports whether a process has handlers for the signals.
func handles(t *testing.T, pid int, signals ...syscall.Signal) bool {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nSigCgt:")
	mask, _, _ := strings.Cut(rest, "\n")
	caught, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signals {
		if caught&(1<<(uint(s)-1)) == 0 {
			return false
		}
	}
	return true
}

func await0(t *testing.T, ended <-chan int) {
	t.Helper()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(watchdog):
		t.Fatal("the process does not end")
	}
}

// local is an Exec on this machine.
func local(t *testing.T, name string) Exec {
	t.Helper()
	return func(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
		argv := shell(t, name, command)
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		cmd.Stdout, cmd.Stderr = stdout, stderr
		go func() {
			_, _ = io.Copy(in, stdin)
			_ = in.Close()
		}()
		return cmd.Run()
	}
}

// TestKeeper: it finds the process among all others of the machine, and ends it when it is stopped.
func TestKeeper(t *testing.T) {
	t.Parallel()
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marker := newName()
			_, other := process(t, name, command(newName(), time.Hour))
			_, ended := process(t, name, command(marker, time.Hour))
			k, err := startKeeper(t.Context(), local(t, name), marker)
			if err != nil {
				t.Fatal(err)
			}
			k.stop()
			await0(t, ended)
			select {
			case <-other:
				t.Error("another process was ended")
			default:
			}
		})
	}
}

func TestKeeperWithoutProcess(t *testing.T) {
	t.Parallel()
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := startKeeper(t.Context(), local(t, name), newName()); err == nil || err.Error() != "cannot find the process of the container" {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestKeeperLosesItsStream: a lost exec does not end the process, and the keeper is opened again.
func TestKeeperLosesItsStream(t *testing.T) {
	t.Parallel()
	marker := newName()
	_, ended := process(t, "dash", command(marker, time.Hour))
	run := local(t, "dash")
	opened := make(chan context.CancelFunc, 10)
	k, err := startKeeper(t.Context(), func(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
		ctx, cut := context.WithCancel(ctx)
		defer cut()
		opened <- cut
		return run(ctx, command, stdin, stdout, stderr)
	}, marker)
	if err != nil {
		t.Fatal(err)
	}
	(<-opened)()
	select {
	case <-opened:
	case <-time.After(watchdog):
		t.Fatal("it is not opened again")
	}
	select {
	case <-ended:
		t.Fatal("the process ended with the stream")
	default:
	}
	k.stop()
	await0(t, ended)
}

// TestKeeperRefused: an exec that is refused is the error.
func TestKeeperRefused(t *testing.T) {
	t.Parallel()
	refused := errors.New("no permission")
	_, err := startKeeper(t.Context(), func(context.Context, []string, io.Reader, io.Writer, io.Writer) error { return refused }, newName())
	if !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
}

// quick is keepAlive in seconds: it may be without a sign of life for four of them.
func quick(marker string, lifetime int) []string {
	return []string{"sh", "-c", fmt.Sprintf(keepAlive, 0, 4, lifetime, 1, 1), marker}
}

// TestProcessEndsByItself: without a sign of life, and after its lifetime although there are some.
func TestProcessEndsByItself(t *testing.T) {
	t.Parallel()
	for name := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, silent := process(t, name, quick(newName(), 3600))
			await0(t, silent)

			const lifetime = 9
			start := time.Now()
			cmd, kept := process(t, name, quick(newName(), lifetime))
			tick := time.NewTicker(300 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					if err := cmd.Process.Signal(sigusr1); err != nil {
						continue // it has just ended
					}
				case code := <-kept:
					if took := time.Since(start); code != 0 && code != 128+int(sigusr1) || took < (lifetime-1)*time.Second {
						t.Errorf("exit code %d after %s", code, took)
					}
					return
				case <-time.After(watchdog):
					t.Fatal("the process does not end")
				}
			}
		})
	}
}

// TestOneLine: the command line is read as one line.
func TestOneLine(t *testing.T) {
	t.Parallel()
	if argv := command(newName(), time.Hour); strings.Contains(strings.Join(argv, " "), "\n") {
		t.Errorf("%q", argv)
	}
}
