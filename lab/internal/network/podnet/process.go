package podnet

import (
	"context"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// Process is a container or a command in one.
type Process struct {
	client *Client
	name   string
	once   sync.Once
	done   chan struct{}
	code   int
}

func (p *Process) finish(code int) {
	p.once.Do(func() {
		p.code = code
		close(p.done)
	})
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the code of an ended process, or 128 plus the signal that ended it.
func (p *Process) ExitCode() int {
	<-p.done
	return p.code
}

// Terminate sends SIGTERM, or SIGKILL to a first process of a container that has no handler for
// SIGTERM: the kernel would drop it and everybody would wait out the grace period.
func (p *Process) Terminate(ctx context.Context) error {
	return p.client.signal(ctx, podwire.Signal{Proc: p.name, Signal: int(unix.SIGTERM), IfHandled: true})
}

// Kill sends SIGKILL.
func (p *Process) Kill(ctx context.Context) error {
	return p.client.signal(ctx, podwire.Signal{Proc: p.name, Signal: int(unix.SIGKILL)})
}

func (c *Client) signal(ctx context.Context, s podwire.Signal) error {
	_, err := c.call(ctx, podwire.Request{Op: podwire.OpSignal, Signal: &s})
	return err
}

// expect makes the Process before it starts, as its end may be reported before its start is.
func (c *Client) expect(name string) *Process {
	p := &Process{client: c, name: name, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.procs == nil { // the node is gone
		p.finish(128 + int(unix.SIGKILL))
		return p
	}
	c.procs[name] = p
	return p
}

func (c *Client) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.procs, name)
}

// StartContainer starts a container in a pod. The caller keeps stdout and stderr and closes them.
func (c *Client) StartContainer(ctx context.Context, s podwire.Start, stdout, stderr *os.File) (*Process, error) {
	p := c.expect(s.Proc)
	if _, err := c.call(ctx, podwire.Request{Op: podwire.OpStart, Start: &s}, stdout, stderr); err != nil {
		c.forget(s.Proc)
		return nil, err
	}
	return p, nil
}

// Exec starts a command in a running container. The caller keeps the files and closes them.
func (c *Client) Exec(ctx context.Context, e podwire.Exec, stdin, stdout, stderr *os.File) (*Process, error) {
	p := c.expect(e.Proc)
	if _, err := c.call(ctx, podwire.Request{Op: podwire.OpExec, Exec: &e}, stdin, stdout, stderr); err != nil {
		c.forget(e.Proc)
		return nil, err
	}
	return p, nil
}

// ExecTTY starts a command on a terminal of the container's and returns the terminal's other end.
func (c *Client) ExecTTY(ctx context.Context, e podwire.Exec) (*Process, *os.File, error) {
	e.TTY = true
	p := c.expect(e.Proc)
	a, err := c.call(ctx, podwire.Request{Op: podwire.OpExec, Exec: &e})
	if err == nil && len(a.files) != 1 {
		err = errors.New("the node sent no terminal")
	}
	if err != nil {
		c.forget(e.Proc)
		return nil, nil, err
	}
	// Non-blocking, so that closing it ends a read under way.
	if err := unix.SetNonblock(int(a.files[0].Fd()), true); err != nil {
		podwire.CloseAll(a.files)
		return nil, nil, err
	}
	fd, err := unix.FcntlInt(a.files[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	podwire.CloseAll(a.files)
	if err != nil {
		return nil, nil, err
	}
	return p, os.NewFile(uintptr(fd), "terminal"), nil
}

// Resize sets the size of a terminal that ExecTTY returned.
func Resize(terminal *os.File, rows, cols uint16) error {
	rc, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var ierr error
	err = rc.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	return errors.Join(err, ierr)
}
