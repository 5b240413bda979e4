//go:build !linux && !darwin

package wrapper

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"time"
)

// supervise runs the plugin and returns how it ended. It ends it, with what it started, when timeout is over, when gone is closed, and at an interrupt.
// There are no process groups of a terminal here: nobody can see whether a plugin that has the terminal waits for a person, so that it has no deadline.
func supervise(path string, argv, env []string, out *streams, timeout time.Duration, gone <-chan struct{}) Report {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Env: env, Files: []*os.File{os.Stdin, out.stdout, out.stderr}})
	out.started()
	if err != nil {
		return Report{Error: err.Error()}
	}
	ended := make(chan Report, 1)
	go func() {
		state, err := p.Wait()
		if err != nil {
			ended <- Report{Error: err.Error()}
			return
		}
		ended <- Report{Exit: state.ExitCode()}
	}()
	var late <-chan time.Time
	if timeout > 0 && !interactive(os.Getenv("KUBERNETES_EXEC_INFO")) {
		late = time.After(timeout)
	}
	var end Report
	select {
	case end = <-ended:
		out.finish()
		return end
	case <-late:
		end.TimedOut = true
	case <-gone:
		end.Signal = "ended"
	case <-interrupts:
		end.Signal = "interrupt"
	}
	killTree(p)
	return end
}

// killTree ends the process and what it started.
func killTree(p *os.Process) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = exec.CommandContext(ctx, "taskkill", "/T", "/F", "/PID", strconv.Itoa(p.Pid)).Run() //nolint:gosec // a number
	_ = p.Kill()
}
