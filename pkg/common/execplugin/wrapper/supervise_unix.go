//go:build linux || darwin

package wrapper

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signalTime is how much later than the plugin the wrapper may notice a signal that both got.
const signalTime = 50 * time.Millisecond

// state is a change of the plugin's state: it has stopped, or ended.
type state struct {
	status syscall.WaitStatus
}

// supervisor runs one plugin.
type supervisor struct {
	pid     int // of the plugin
	parent  int
	home    int // the process group of the command
	end     Report
	states  chan state
	signals chan os.Signal

	tty     *terminal        // nil without one
	modes   *syscall.Termios // of the terminal before the plugin got it
	hasTTY  bool
	prompts bool
}

// supervise runs the plugin and returns how it ended. It ends it when timeout is over, when gone is closed, and at a signal.
//
// The wrapper makes a process group of its own, in which the plugin and all that it starts are. The group is in the background: a plugin that reads
// from the terminal or changes its modes is stopped by the kernel, which shows exactly that it needs the terminal. The wrapper then brings the
// group to the foreground, lets it go on and stops the clock. Ctrl-C then reaches the group and not the command, so that the wrapper passes it on.
func supervise(path string, argv, env []string, out *streams, timeout time.Duration, gone <-chan struct{}) Report {
	s := &supervisor{parent: os.Getppid(), home: syscall.Getpgrp(), states: make(chan state, 8), signals: make(chan os.Signal, 8), prompts: interactive(os.Getenv("KUBERNETES_EXEC_INFO"))}
	signal.Notify(s.signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	_ = syscall.Setpgid(0, 0) // it fails where the wrapper leads a session, which is a group of its own
	s.tty = openTerminal()
	p, err := os.StartProcess(path, argv, &os.ProcAttr{Env: env, Files: []*os.File{os.Stdin, out.stdout, out.stderr}}) //nolint:gosec // the kubeconfig names the plugin, as it does for kubectl
	out.started()
	if err != nil {
		return Report{Error: err.Error()}
	}
	// From now on: a process in the background that changes the foreground group would be stopped itself. The plugin has the defaults.
	signal.Ignore(syscall.SIGTTOU)
	s.pid = p.Pid
	go s.wait()
	s.attend(timeout, gone)
	out.finish()
	return s.end
}

// wait reports each change of the plugin's state.
func (s *supervisor) wait() {
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(s.pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			close(s.states)
			return
		default:
			s.states <- state{status}
			if !status.Stopped() {
				return
			}
		}
	}
}

// attend returns when the plugin has ended.
func (s *supervisor) attend(timeout time.Duration, gone <-chan struct{}) {
	defer s.giveBack()
	var late <-chan time.Time
	// Without a controlling terminal nobody can see whether a plugin that has some other terminal waits for a person.
	if timeout > 0 && (!s.prompts || s.tty != nil) {
		late = time.After(timeout)
	}
	for {
		select {
		case st, ok := <-s.states:
			if !ok || !st.status.Stopped() {
				s.ended(st.status)
				s.awaitInterrupt()
				return
			}
			if s.stopped(st.status.StopSignal()) {
				late = nil
			}
		case <-late:
			s.end.TimedOut = true
			s.kill()
			return
		case <-gone:
			s.kill()
			return
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU: // they are for the plugin, whose state tells
				continue
			case syscall.SIGINT, syscall.SIGQUIT:
				s.passOn()
			}
			s.kill()
			return
		}
	}
}

// passOn interrupts the command, which Ctrl-C does not reach while the plugin has the terminal.
func (s *supervisor) passOn() {
	if s.hasTTY && os.Getppid() == s.parent {
		_ = syscall.Kill(s.parent, syscall.SIGINT)
	}
}

// awaitInterrupt looks for a Ctrl-C that has ended the plugin before the wrapper noticed it: both got it.
func (s *supervisor) awaitInterrupt() {
	if !s.hasTTY || s.end.Exit == 0 && s.end.Signal == "" {
		return
	}
	late := time.After(signalTime)
	for {
		select {
		case sig := <-s.signals:
			if sig == syscall.SIGINT || sig == syscall.SIGQUIT {
				s.passOn()
				return
			}
		case <-late:
			return
		}
	}
}

// stopped handles a plugin that was stopped, and reports whether it has the terminal now.
func (s *supervisor) stopped(sig syscall.Signal) bool {
	switch {
	case s.hasTTY: // Ctrl-Z; the command cannot be suspended while a plugin has the terminal
		_ = syscall.Kill(-syscall.Getpgrp(), syscall.SIGCONT)
		return true
	case sig != syscall.SIGTTIN && sig != syscall.SIGTTOU:
		return false
	}
	s.end.Stopped = true
	if !s.prompts || s.tty == nil {
		return false
	}
	// A command in the background must not take the terminal from the shell.
	if front, err := s.tty.foreground(); err != nil || front != s.home {
		return false
	}
	s.modes = s.tty.modes()
	if s.tty.setForeground(syscall.Getpgrp()) != nil {
		return false
	}
	s.hasTTY, s.end.Stopped = true, false
	_ = syscall.Kill(-syscall.Getpgrp(), syscall.SIGCONT)
	return true
}

// giveBack returns the terminal to the command.
func (s *supervisor) giveBack() {
	if !s.hasTTY || os.Getppid() != s.parent {
		return // the shell has it
	}
	if s.modes != nil && (s.end.Exit != 0 || s.end.Signal != "" || s.end.TimedOut) {
		s.tty.setModes(s.modes) // a plugin that was ended at a password has left the echo off
	}
	_ = s.tty.setForeground(s.home) // the shell does it otherwise
	s.hasTTY = false
}

// ended notes how the plugin ended.
func (s *supervisor) ended(status syscall.WaitStatus) {
	if status.Signaled() {
		s.end.Signal = status.Signal().String()
		return
	}
	s.end.Exit = status.ExitStatus()
}

// kill ends the plugin and all that it started: first it asks, then it leaves the group and kills it.
func (s *supervisor) kill() {
	group := syscall.Getpgrp()
	_ = syscall.Kill(-group, syscall.SIGTERM)
	_ = syscall.Kill(-group, syscall.SIGCONT)
	wait := time.After(grace)
	for over := false; !over; {
		select {
		case st, ok := <-s.states:
			over = !ok || !st.status.Stopped()
		case <-wait:
			over = true
		}
	}
	if s.end.Signal = syscall.SIGTERM.String(); s.end.TimedOut {
		s.end.Signal = ""
	}
	s.giveBack()
	// If the command has ended, its group may be gone too. Then the wrapper ends with the group that it leads: nobody waits for its report.
	if group == os.Getpid() && (syscall.Setpgid(0, s.home) == nil || os.Getppid() != s.parent) {
		_ = syscall.Kill(-group, syscall.SIGKILL)
		return
	}
	_ = syscall.Kill(s.pid, syscall.SIGKILL)
}
