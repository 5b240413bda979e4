package vnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// drainTime is how long a command's output may be silent after the command's end, if its children keep it open.
const drainTime = 2 * time.Second

// execCount makes names of processes unique.
type execCount struct{ n atomic.Uint64 }

// unitOf finds a container by its name.
func (w *worker) unitOf(container string) (*unit, error) {
	for _, u := range w.units {
		if u.spec.Name == container {
			return u, nil
		}
	}
	return nil, fmt.Errorf("container %q not found in pod %q", container, w.pod.Name)
}

// executable says why nothing can be executed in a container, or nil.
func (w *worker) executable(container string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, err := w.unitOf(container)
	switch {
	case err != nil:
		return err
	case u.picture && w.node.runtime == nil:
		return fmt.Errorf("pods have no processes and no network here: %w", w.cluster.NoRuntime)
	case u.picture:
		return errNoProcess
	case u.proc == nil:
		return fmt.Errorf("container %q is not running", container)
	}
	return nil
}

// logs returns the output of a container's current or former run.
func (w *worker) logs(container string, previous bool) (*logFile, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, err := w.unitOf(container)
	switch {
	case err != nil:
		return nil, err
	case previous && u.old == nil:
		return nil, fmt.Errorf("previous terminated container %q in pod %q not found", container, w.pod.Name)
	case previous:
		return u.old, nil
	case u.logs == nil && !u.picture:
		return nil, fmt.Errorf("container %q in pod %q is waiting to start", container, w.pod.Name)
	}
	return u.logs, nil
}

// executor runs commands in the containers of one pod.
type executor struct{ pod *worker }

// ExecInContainer runs a command and copies its streams. As with containerd, the command lives on when the
// client goes away: its standard input is closed, and that is all.
func (e *executor) ExecInContainer(ctx context.Context, _, _, container string, cmd []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	w := e.pod
	w.mu.Lock()
	u, err := w.unitOf(container)
	if err != nil || u.proc == nil {
		w.mu.Unlock()
		return errors.Join(err, fmt.Errorf("container %q is not running", container))
	}
	spec := podwire.Exec{
		Proc:      fmt.Sprintf("%s/exec-%d", u.procName, w.cluster.execs.n.Add(1)),
		Container: u.procName, Argv: cmd, Env: newVars(u.env).list, Dir: u.spec.WorkingDir,
	}
	w.mu.Unlock()
	if tty {
		spec.Env = append(spec.Env, "TERM=xterm")
		return w.execTTY(ctx, spec, in, out, resize)
	}
	return w.execPipes(ctx, spec, in, out, errOut)
}

func (w *worker) execPipes(ctx context.Context, spec podwire.Exec, in io.Reader, out, errOut io.Writer) error {
	stdin, feed, err := inputFile(in)
	if err != nil {
		return err
	}
	var drains drains
	stdout, err := drains.add(out)
	if err != nil {
		return errors.Join(err, stdin.Close())
	}
	stderr, err := drains.add(errOut)
	if err != nil {
		return errors.Join(err, stdin.Close(), stdout.Close())
	}
	p, err := w.node.runtime.Exec(ctx, spec, stdin, stdout, stderr)
	for _, f := range []*os.File{stdin, stdout, stderr} {
		_ = f.Close() // the command has its own copies
	}
	if feed != nil {
		go feed()
	}
	if err != nil {
		return describe(err)
	}
	<-p.Done()
	drains.wait(drainTime)
	return exitError(p)
}

// blocking undoes what os.Pipe set for Go's own sake: the flag belongs to the pipe and not to
// the descriptor, and a program such as cat or dash takes EAGAIN for an error or for the end.
func blocking(f *os.File) error { return unix.SetNonblock(int(f.Fd()), false) }

// inputFile is where a command reads; feed, if any, fills it.
func inputFile(in io.Reader) (stdin *os.File, feed func(), err error) {
	if in == nil {
		stdin, err = os.Open(os.DevNull)
		return stdin, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if err := blocking(r); err != nil {
		return nil, nil, errors.Join(err, r.Close(), w.Close())
	}
	return r, func() {
		_, _ = io.Copy(w, in) // ends when the client or the command has gone
		_ = w.Close()
	}, nil
}

func (w *worker) execTTY(ctx context.Context, spec podwire.Exec, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	// Most clients send their size first: wait a moment, so that the command starts with it.
	select {
	case size, ok := <-resize:
		if ok {
			spec.Rows, spec.Cols = size.Height, size.Width
		}
	case <-time.After(50 * time.Millisecond):
	}
	p, terminal, err := w.node.runtime.ExecTTY(ctx, spec)
	if err != nil {
		return describe(err)
	}
	defer func() { _ = terminal.Close() }()
	go func() {
		for size := range resize {
			if err := podnet.Resize(terminal, size.Height, size.Width); err != nil {
				return
			}
		}
	}()
	if in != nil {
		go func() { _, _ = io.Copy(terminal, in) }()
	}
	copied := make(chan struct{})
	go func() {
		if out != nil {
			_, _ = io.Copy(out, terminal) // ends with EIO when nobody has the terminal open any more
		}
		close(copied)
	}()
	<-p.Done()
	select {
	case <-copied:
	case <-time.After(drainTime):
	}
	return exitError(p)
}

// describe words a failed start as containerd does: users and tools know its text.
func describe(err error) error {
	if errors.Is(err, podnet.ErrNotFound) {
		return fmt.Errorf("failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: %w: unknown", err)
	}
	return fmt.Errorf("failed to start exec: %w", err)
}

// exitError turns an exit code into the error that ServeExec reports as such.
func exitError(p *podnet.Process) error {
	if code := p.ExitCode(); code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
	}
	return nil
}

// forwarder connects `kubectl port-forward` to a pod.
type forwarder struct{ pod *worker }

// PortForward copies between a stream and a port of the pod.
func (f *forwarder) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	f.pod.mu.Lock()
	ip, network := f.pod.ip, f.pod.network || f.pod.pod.Spec.HostNetwork && f.pod.node.machine != nil
	f.pod.mu.Unlock()
	if !network {
		return errNoProcess
	}
	conn, err := f.pod.node.runtime.Dial(ctx, "tcp", net.JoinHostPort(ip.String(), strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	go func() {
		_, _ = io.Copy(conn, stream)
		if c, ok := conn.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
	}()
	_, err = io.Copy(stream, conn)
	return err
}
