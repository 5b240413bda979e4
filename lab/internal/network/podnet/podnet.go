// Package podnet is meshlab-net's side of the node process: it starts the process in new namespaces
// and turns Go calls into package podwire's requests. It never enters a namespace
// itself. It knows pods as names with an address and containers as processes with
// a root file system; Kubernetes is the business of its callers.
package podnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// ErrClosed says that the node process is gone.
var ErrClosed = errors.New("the node process has ended")

// ErrNotFound says that a command does not exist in a container.
var ErrNotFound = errors.New("command not found in the container")

// ErrNotAllowed says that this machine does not let its user make the namespaces that pods need.
var ErrNotAllowed = errors.New("pods need namespaces that this machine does not allow")

// Client talks to one node process.
type Client struct {
	conn *podwire.Conn
	cmd  *exec.Cmd

	mu      sync.Mutex
	nextID  uint64
	waiting map[uint64]chan answer
	procs   map[string]*Process
	closed  chan struct{}
	err     error
}

type answer struct {
	reply podwire.Reply
	files []*os.File
}

// Start runs binary as the node process and brings its network up. Its messages go to log.
func Start(ctx context.Context, binary string, setup podwire.Setup, log io.Writer) (*Client, error) {
	conn, control, err := podwire.Pair()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "node", "--state="+setup.State) //nolint:gosec // the lab's own binary; it must outlive ctx, which bounds the start only
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{control}
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET,
		Setsid:     true,
	}
	if setup.Machine != nil {
		dir, err := os.Open(setup.Machine.Cgroup)
		if err != nil {
			return nil, errors.Join(err, control.Close(), conn.Close())
		}
		defer func() { _ = dir.Close() }()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	if euid := os.Geteuid(); euid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: euid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err = cmd.Start()
	if cerr := control.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, errors.Join(explain(err), conn.Close())
	}
	c := &Client{
		conn: conn, cmd: cmd, closed: make(chan struct{}),
		waiting: map[uint64]chan answer{}, procs: map[string]*Process{},
	}
	go c.receive()
	if _, err := c.call(ctx, podwire.Request{Op: podwire.OpSetup, Setup: &setup}); err != nil {
		return nil, errors.Join(explain(err), c.Close())
	}
	return c, nil
}

// Close ends the node process and all its pods, and waits for that. It may be called again.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.closed
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Done is closed when the node process has ended.
func (c *Client) Done() <-chan struct{} { return c.closed }

// receive hands replies to those who wait for them until the node is gone.
func (c *Client) receive() {
	var last error
	for {
		var reply podwire.Reply
		files, err := c.conn.Receive(&reply)
		if err != nil {
			last = err
			break
		}
		c.mu.Lock()
		if reply.Exit != nil {
			if p := c.procs[reply.Exit.Proc]; p != nil {
				delete(c.procs, reply.Exit.Proc)
				p.finish(reply.Exit.Code)
			}
		}
		ch := c.waiting[reply.ID]
		delete(c.waiting, reply.ID)
		c.mu.Unlock()
		if ch == nil {
			podwire.CloseAll(files) // nobody waits any more
			continue
		}
		ch <- answer{reply, files}
	}
	_ = c.cmd.Process.Kill() // it ends by itself when the socket closes; this is for a node that hangs
	werr := c.cmd.Wait()
	if errors.Is(last, io.EOF) && werr != nil {
		last = werr
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = last
	for _, p := range c.procs {
		p.finish(128 + int(unix.SIGKILL))
	}
	c.procs = nil
	close(c.closed)
}

// call sends one request and waits for its reply.
func (c *Client) call(ctx context.Context, req podwire.Request, files ...*os.File) (answer, error) {
	ch := make(chan answer, 1)
	c.mu.Lock()
	c.nextID++
	req.ID = c.nextID
	c.waiting[req.ID] = ch
	c.mu.Unlock()
	drop := func() {
		c.mu.Lock()
		delete(c.waiting, req.ID)
		c.mu.Unlock()
		select {
		case a := <-ch:
			podwire.CloseAll(a.files)
		default:
		}
	}
	if err := c.conn.Send(&req, files...); err != nil {
		drop()
		return answer{}, fmt.Errorf("node process: %w", err)
	}
	select {
	case a := <-ch:
		if a.reply.Error != "" {
			podwire.CloseAll(a.files)
			if a.reply.NotFound {
				return answer{}, &Error{Op: req.Op, Message: a.reply.Error, kind: ErrNotFound}
			}
			return answer{}, &Error{Op: req.Op, Message: a.reply.Error}
		}
		return a, nil
	case <-ctx.Done():
		drop()
		return answer{}, ctx.Err()
	case <-c.closed:
		drop()
		return answer{}, fmt.Errorf("%w: %w", ErrClosed, c.err)
	}
}

// Error is what the node process answered to a request.
type Error struct {
	Op      podwire.Op
	Message string
	kind    error
}

// Error returns the node's own words.
func (e *Error) Error() string { return e.Message }

// Unwrap returns ErrNotFound if that was the reason.
func (e *Error) Unwrap() error { return e.kind }

// AddPod makes a network namespace with one address, which it returns: the pod's IP, or the choice of a CNI plugin if
// it has none.
func (c *Client) AddPod(ctx context.Context, pod podwire.Pod) (ip string, err error) {
	a, err := c.call(ctx, podwire.Request{Op: podwire.OpAddPod, Pod: &pod})
	return a.reply.IP, err
}

// Link connects a network namespace to a node process of podwire.KindSwitch.
func (c *Client) Link(ctx context.Context, cable podwire.Cable, netns *os.File) error {
	_, err := c.call(ctx, podwire.Request{Op: podwire.OpLink, Link: &cable}, netns)
	return err
}

// Netns opens the network namespace of the node process.
func (c *Client) Netns() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/%d/ns/net", c.cmd.Process.Pid))
}

// DelPod kills what runs in a pod and removes its network.
func (c *Client) DelPod(ctx context.Context, name string) error {
	_, err := c.call(ctx, podwire.Request{Op: podwire.OpDelPod, Pod: &podwire.Pod{Name: name}})
	return err
}

// SetVIPs changes the backends behind service addresses.
func (c *Client) SetVIPs(ctx context.Context, vips []podwire.VIP) error {
	// A part is far shorter than a message may be, and is done at once.
	const part, maxBackends = 16, 2000
	for len(vips) > 0 {
		n, backends := 0, 0
		for n < min(len(vips), part) && backends < maxBackends {
			backends += len(vips[n].Backends)
			n++
		}
		if _, err := c.call(ctx, podwire.Request{Op: podwire.OpVIPs, VIPs: vips[:n]}); err != nil {
			return err
		}
		vips = vips[n:]
	}
	return nil
}

// SetFaults replaces what is broken in the network.
func (c *Client) SetFaults(ctx context.Context, f podwire.Faults) error {
	_, err := c.call(ctx, podwire.Request{Op: podwire.OpFaults, Faults: &f})
	return err
}

// Stats counts what the node process holds.
func (c *Client) Stats(ctx context.Context) (podwire.Stats, error) {
	a, err := c.call(ctx, podwire.Request{Op: podwire.OpStats})
	if err != nil {
		return podwire.Stats{}, err
	}
	return *a.reply.Stats, nil
}

// Dial connects to a pod as the node, as a kubelet's probe does.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	wait := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		wait = time.Until(d)
	}
	a, err := c.call(ctx, podwire.Request{Op: podwire.OpDial, Address: &podwire.Address{
		Network: network, Address: address, TimeoutMS: max(1, int(wait.Milliseconds())),
	}})
	if err != nil {
		return nil, err
	}
	defer podwire.CloseAll(a.files)
	return net.FileConn(a.files[0])
}

// ListenPacket opens a UDP socket among the pods.
func (c *Client) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	a, err := c.call(ctx, podwire.Request{Op: podwire.OpListen, Address: &podwire.Address{Network: network, Address: address}})
	if err != nil {
		return nil, err
	}
	defer podwire.CloseAll(a.files)
	return net.FilePacketConn(a.files[0])
}

// Listen opens a TCP listener among the pods.
func (c *Client) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	a, err := c.call(ctx, podwire.Request{Op: podwire.OpListen, Address: &podwire.Address{Network: network, Address: address}})
	if err != nil {
		return nil, err
	}
	defer podwire.CloseAll(a.files)
	return net.FileListener(a.files[0])
}
