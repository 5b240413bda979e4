package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// pod is a network namespace that containers share.
type pod struct {
	*attachment // nil while the namespace is made
	// removed: delPod was called while the namespace was made, and has called stop.
	removed bool
	stop    context.CancelFunc
}

// process is a started container or a command in one.
type process struct {
	pod       string
	container string // empty for a container itself
	proc      *os.Process
	pidfd     int // of a container, for commands that enter it
	// privileged commands in it keep all capabilities
	privileged bool
	done       chan struct{}
}

// addPod makes the network of a pod and returns its address.
func (n *Node) addPod(p *podwire.Pod) (ip string, err error) {
	n.mu.Lock()
	if n.pods[p.Name] != nil {
		n.mu.Unlock()
		return "", fmt.Errorf("pod %s exists", p.Name)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	entry := &pod{stop: stop}
	n.pods[p.Name] = entry // keeps the name while the namespace is made
	n.mu.Unlock()

	a, err := n.net.join(ctx, p)
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil && entry.removed {
		err = errors.Join(errors.New("the pod was removed"), a.leave(), a.netns.Close())
	}
	if err != nil {
		delete(n.pods, p.Name)
		return "", fmt.Errorf("pod network: %w", err)
	}
	entry.attachment = a
	return a.ip.String(), nil
}

// delPod kills what runs in the pod, waits until it is gone and removes the network. If that is still being made, it says only that it is not
// needed any more: a CNI plugin may wait for long.
func (n *Node) delPod(name string) error {
	n.mu.Lock()
	p := n.pods[name]
	if p == nil {
		n.mu.Unlock()
		return fmt.Errorf("no pod %s", name)
	}
	if p.attachment == nil {
		p.removed = true
		p.stop()
		n.mu.Unlock()
		return nil
	}
	var left []*process
	for _, pr := range n.procs {
		if pr.pod == name {
			left = append(left, pr)
		}
	}
	n.mu.Unlock()
	for _, pr := range left {
		_ = pr.proc.Kill() // fails only if it has just ended
	}
	for _, pr := range left {
		<-pr.done
	}
	n.mu.Lock()
	delete(n.pods, name)
	n.mu.Unlock()
	return errors.Join(p.leave(), p.netns.Close())
}

// register makes a started process known and reports its end.
func (n *Node) register(name string, pr *process) {
	pr.done = make(chan struct{})
	n.mu.Lock()
	n.procs[name] = pr
	n.mu.Unlock()
	go func() {
		state, err := pr.proc.Wait()
		code := 255
		if err == nil {
			code = exitCode(state)
		}
		n.mu.Lock()
		delete(n.procs, name)
		n.mu.Unlock()
		if pr.pidfd > 0 {
			_ = unix.Close(pr.pidfd)
		}
		close(pr.done)
		// A failed send means that the lab is gone.
		_ = n.conn.Send(&podwire.Reply{Exit: &podwire.Exit{Proc: name, Code: code}})
	}()
}

func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

// signal sends a signal to a process; if it has ended, that is not an error.
func (n *Node) signal(s *podwire.Signal) error {
	n.mu.Lock()
	pr := n.procs[s.Proc]
	n.mu.Unlock()
	if pr == nil {
		return nil
	}
	sig := unix.Signal(s.Signal)
	if s.IfHandled && !handles(pr.proc.Pid, sig) {
		sig = unix.SIGKILL
	}
	if err := pr.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// handles reports whether a process has a handler for the signal. The first
// process of a PID namespace never sees a signal for which it has none.
func handles(pid int, sig unix.Signal) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(data)) {
		hex, ok := strings.CutPrefix(line, "SigCgt:")
		if !ok {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		return err == nil && mask&(1<<(uint(sig)-1)) != 0
	}
	return false
}
