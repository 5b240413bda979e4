// Package node is the process that holds the lab's pods: it runs as PID 1 of its own PID,
// network, mount, UTS and IPC namespaces, gives each pod a network namespace and
// each container its own root file system, and keeps the one nftables table that turns
// service addresses into backends. It does what package podwire's requests say and
// decides nothing: it knows no Kubernetes object and no rule of Cilium.
//
// It ends when the control socket closes, and the kernel then kills whatever
// is left in its PID namespace; so nothing outlives the lab, however it dies.
package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// Node answers the requests of one control socket.
type Node struct {
	conn *podwire.Conn
	self string // this binary, which is also the first program in each container

	root string // an empty directory of the node's mount namespace, where containers build their roots
	net  podNetwork

	mu    sync.Mutex
	pods  map[string]*pod
	procs map[string]*process
}

// podNetwork is what connects the pods of a node. There is one for each podwire.Kind.
type podNetwork interface {
	// join makes a network namespace for a pod. The pod may be removed meanwhile, which ends ctx.
	join(ctx context.Context, p *podwire.Pod) (*attachment, error)
	// link connects a machine's network namespace.
	link(c *podwire.Cable, ns *os.File) error
	setVIPs(vips []podwire.VIP) error
	setFaults(f *podwire.Faults) error
	// count fills in what the network holds.
	count(st *podwire.Stats) error
}

// attachment is a pod's network namespace and how it is removed.
type attachment struct {
	ip    netip.Addr
	netns *os.File
	leave func() error
}

// Run serves the control socket until it closes. The caller is the first process of new namespaces.
func Run(control *os.File) error {
	conn, err := podwire.FromFile(control)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the node's own binary: %w", err)
	}
	n := &Node{conn: conn, self: self, pods: map[string]*pod{}, procs: map[string]*process{}}
	for {
		var req podwire.Request
		files, err := conn.Receive(&req)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if req.Op == podwire.OpSetup {
			n.answer(&req, files) // everything else needs it done
			continue
		}
		go n.answer(&req, files)
	}
}

// answer does one request and sends its reply.
func (n *Node) answer(req *podwire.Request, files []*os.File) {
	reply := podwire.Reply{ID: req.ID}
	out, err := n.do(req, files, &reply)
	podwire.CloseAll(files)
	if err != nil {
		reply.Error = err.Error()
		reply.NotFound = errors.Is(err, errNotFound)
	}
	// A failed send means that the lab is gone: Run sees that too and ends.
	_ = n.conn.Send(&reply, out...)
	podwire.CloseAll(out)
}

// do returns the files that go with the reply.
func (n *Node) do(req *podwire.Request, files []*os.File, reply *podwire.Reply) ([]*os.File, error) {
	switch {
	case req.Op == podwire.OpSetup && req.Setup != nil && n.net == nil:
		return nil, n.setup(req.Setup)
	case n.net == nil:
		return nil, errors.New("the node is not set up")
	case req.Op == podwire.OpListen && req.Address != nil:
		return listen(req.Address)
	case req.Op == podwire.OpDial && req.Address != nil:
		return dial(req.Address)
	case req.Op == podwire.OpAddPod && req.Pod != nil:
		var err error
		reply.IP, err = n.addPod(req.Pod)
		return nil, err
	case req.Op == podwire.OpLink && req.Link != nil && len(files) == 1:
		return nil, n.net.link(req.Link, files[0])
	case req.Op == podwire.OpDelPod && req.Pod != nil:
		return nil, n.delPod(req.Pod.Name)
	case req.Op == podwire.OpStart && req.Start != nil && len(files) == 2:
		return nil, n.start(req.Start, files)
	case req.Op == podwire.OpExec && req.Exec != nil && (len(files) == 3 || req.Exec.TTY && len(files) == 0):
		return n.exec(req.Exec, files)
	case req.Op == podwire.OpSignal && req.Signal != nil:
		return nil, n.signal(req.Signal)
	case req.Op == podwire.OpVIPs:
		return nil, n.net.setVIPs(req.VIPs)
	case req.Op == podwire.OpFaults && req.Faults != nil:
		return nil, n.net.setFaults(req.Faults)
	case req.Op == podwire.OpStats:
		var err error
		reply.Stats, err = n.stats()
		return nil, err
	}
	return nil, fmt.Errorf("request %q is not understood", req.Op)
}

// setup mounts what the node needs and brings the network up.
func (n *Node) setup(s *podwire.Setup) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if err := unix.Mount("tmpfs", s.WorkDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	n.root = filepath.Join(s.WorkDir, "root")
	if err := os.Mkdir(n.root, 0o755); err != nil {
		return err
	}
	network, err := n.newNetwork(s)
	if err != nil {
		return err
	}
	n.net = network
	return nil
}

func (n *Node) newNetwork(s *podwire.Setup) (podNetwork, error) {
	switch {
	case s.Kind == podwire.KindRouter:
		return newRouter(s.Clusters)
	case s.Kind == podwire.KindSwitch:
		return newSwitch()
	case s.Kind == podwire.KindMachine && s.Machine != nil:
		return newMachine(*s.Machine)
	}
	return nil, fmt.Errorf("node of kind %q is not understood", s.Kind)
}

// listen opens a socket in the node's network namespace; who holds it may be anywhere.
func listen(a *podwire.Address) ([]*os.File, error) {
	var sock interface {
		File() (*os.File, error)
		Close() error
	}
	switch {
	case strings.HasPrefix(a.Network, "udp"):
		addr, err := net.ResolveUDPAddr(a.Network, a.Address)
		if err != nil {
			return nil, err
		}
		if sock, err = net.ListenUDP(a.Network, addr); err != nil {
			return nil, err
		}
	default:
		addr, err := net.ResolveTCPAddr(a.Network, a.Address)
		if err != nil {
			return nil, err
		}
		if sock, err = net.ListenTCP(a.Network, addr); err != nil {
			return nil, err
		}
	}
	f, err := sock.File()
	if cerr := sock.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

// dial connects from the node's network namespace, as a kubelet's probes do.
func dial(a *podwire.Address) ([]*os.File, error) {
	d := net.Dialer{Timeout: time.Duration(a.TimeoutMS) * time.Millisecond}
	c, err := d.Dial(a.Network, a.Address)
	if err != nil {
		return nil, err
	}
	fc, ok := c.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, errors.Join(fmt.Errorf("network %q has no file", a.Network), c.Close())
	}
	f, err := fc.File()
	if cerr := c.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

// stats counts pods, processes, links, chains and children that nobody waited for.
func (n *Node) stats() (*podwire.Stats, error) {
	n.mu.Lock()
	st := &podwire.Stats{Pods: len(n.pods), Processes: len(n.procs)}
	n.mu.Unlock()
	if err := n.net.count(st); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		state, ppid := procStat(e.Name())
		if state == "Z" && ppid == strconv.Itoa(os.Getpid()) {
			st.Zombies++
		}
	}
	return st, nil
}

// procStat reads a process's state and parent; both are empty when it is gone.
func procStat(pid string) (state, ppid string) {
	data, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return "", ""
	}
	// The second field is the name in parentheses, which may hold anything.
	_, rest, ok := strings.Cut(string(data), ") ")
	if f := strings.Fields(rest); ok && len(f) > 1 {
		return f[0], f[1]
	}
	return "", ""
}
