package labnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/chooser"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/realcilium"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/dns"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/netctl"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/vnode"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// acceptPause is how long a forwarder waits after it could not accept a connection.
const acceptPause = time.Second

// nodePrefix is the length of the prefix of all nodes' network.
const nodePrefix = 16

func volumeDir(dir state.Dir) string { return filepath.Join(dir.NetDir(), "volumes") }
func diskDir(dir state.Dir) string   { return filepath.Join(dir.NetDir(), "disks") }

// machines are the nodes of a lab that runs Cilium: a node process each, and one that is the switch between them.
type machines struct {
	bySwitch *podnet.Client
	byName   map[string]*podnet.Client
	disks    map[string]string
	cgroup   string
	log      io.Writer
}

// startMachines starts all nodes and connects them.
func startMachines(ctx context.Context, lab *state.Lab, o Options, work string) (_ *machines, err error) {
	m := &machines{byName: map[string]*podnet.Client{}, disks: map[string]string{}, log: o.Log}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.cgroup, err = podnet.Cgroup(string(o.Dir)); err != nil {
		return nil, err
	}
	setup := podwire.Setup{Kind: podwire.KindSwitch, WorkDir: work, State: string(o.Dir)}
	if m.bySwitch, err = podnet.Start(ctx, o.Pod, setup, o.Log); err != nil {
		return nil, fmt.Errorf("switch: %w", err)
	}
	for _, c := range lab.Clusters {
		for i, node := range c.Nodes {
			if err := m.start(ctx, o, work, node); err != nil {
				return nil, fmt.Errorf("node %q: %w", node.Name, err)
			}
			cable := podwire.Cable{Name: fmt.Sprintf("c%dn%d", c.ID, i+1), Address: fmt.Sprintf("%s/%d", node.Address, nodePrefix)}
			if err := m.connect(ctx, node.Name, cable); err != nil {
				return nil, fmt.Errorf("node %q: %w", node.Name, err)
			}
		}
	}
	return m, nil
}

func (m *machines) start(ctx context.Context, o Options, work string, node state.Node) error {
	cgroup, disk := filepath.Join(m.cgroup, node.Name), filepath.Join(diskDir(o.Dir), node.Name)
	for _, dir := range []string{cgroup, disk} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	client, err := podnet.Start(ctx, o.Pod, podwire.Setup{
		Kind: podwire.KindMachine, WorkDir: work, State: string(o.Dir),
		Machine: &podwire.Machine{
			Name: node.Name, Cgroup: cgroup, Disk: disk, Plugin: o.Cilium.Plugin(), Network: realcilium.Network(),
		},
	}, o.Log)
	if err != nil {
		return err
	}
	m.byName[node.Name], m.disks[node.Name] = client, disk
	return nil
}

func (m *machines) connect(ctx context.Context, node string, cable podwire.Cable) error {
	ns, err := m.byName[node].Netns()
	if err != nil {
		return err
	}
	return errors.Join(m.bySwitch.Link(ctx, cable, ns), ns.Close())
}

// close ends all nodes with what runs in them.
func (m *machines) close() {
	for _, client := range m.byName {
		_ = client.Close() // they end by themselves when the socket closes
	}
	if m.bySwitch != nil {
		_ = m.bySwitch.Close()
	}
	if m.cgroup != "" {
		if err := podnet.RemoveCgroup(m.cgroup); err != nil {
			_, _ = fmt.Fprintln(m.log, err)
		}
	}
}

// watch returns when a node has ended.
func (m *machines) watch(ctx context.Context) error {
	ended := make(chan string, len(m.byName)+1)
	wait := func(name string, client *podnet.Client) {
		select {
		case <-client.Done():
			ended <- name
		case <-ctx.Done():
		}
	}
	for name, client := range m.byName {
		go wait(name, client)
	}
	go wait("the switch", m.bySwitch)
	select {
	case name := <-ended:
		return fmt.Errorf("the node process of %s has ended", name)
	case <-ctx.Done():
		return nil
	}
}

// configure gives the nodes of a cluster their runtimes.
func (m *machines) configure(cfg *vnode.Config) error {
	server, err := url.Parse(cfg.Cluster.APIServer)
	if err != nil {
		return err
	}
	cfg.Kubernetes = [2]string{cfg.Cluster.AdvertiseAddress, server.Port()}
	cfg.Machines = map[string]vnode.Machine{}
	for _, node := range cfg.Cluster.Nodes {
		cfg.Machines[node.Name] = vnode.Machine{Runtime: m.byName[node.Name], Disk: m.disks[node.Name]}
	}
	return nil
}

// noDataplane is where the lab's own choice of backends goes when Cilium chooses.
type noDataplane struct{}

func (noDataplane) SetVIPs(context.Context, []podwire.VIP) error { return nil }

// serveMachines connects the nodes with the API servers, and starts DNS and the control socket.
func (n *labNet) serveMachines(ctx context.Context, g *errgroup.Group, dir state.Dir) error {
	control := chooser.New(chooser.Rules{}, noDataplane{}, 0, n.log)
	handler, err := n.names(control)
	if err != nil {
		return err
	}
	for _, c := range n.lab.Clusters {
		first := n.machines.byName[c.Nodes[0].Name]
		if err := dns.Serve(ctx, handler, first, []string{c.Nodes[0].Address}, n.log); err != nil {
			return fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		if err := forwardAPI(ctx, c, first, n.log); err != nil {
			return fmt.Errorf("cluster %q: %w", c.Name, err)
		}
	}
	n.faults = newFaults(n.lab, n.machines.bySwitch)
	if err := netctl.Serve(ctx, dir.NetDir(), n.faults.do, n.log); err != nil {
		return err
	}
	g.Go(func() error {
		control.Run(ctx)
		return nil
	})
	return nil
}

// forwardAPI makes the API server, which listens on the machine's loopback, reachable for pods and nodes.
func forwardAPI(ctx context.Context, c state.Cluster, node *podnet.Client, log io.Writer) error {
	server, err := url.Parse(c.APIServer)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(c.AdvertiseAddress, server.Port())
	l, err := node.Listen(ctx, "tcp4", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			switch {
			case ctx.Err() != nil, errors.Is(err, net.ErrClosed):
				return
			case err != nil: // such as too many open files
				_, _ = fmt.Fprintf(log, "cluster %s: %s: %v\n", c.Name, address, err)
				time.Sleep(acceptPause)
				continue
			}
			go forward(ctx, conn, server.Host)
		}
	}()
	return nil
}

// forward copies both ways between a connection and a server until both have ended.
func forward(ctx context.Context, conn net.Conn, server string) {
	defer func() { _ = conn.Close() }()
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return // the API server is stopped; its clients try again
	}
	defer func() { _ = to.Close() }()
	stop := context.AfterFunc(ctx, func() { _, _ = conn.Close(), to.Close() })
	defer stop()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{conn, to}, {to, conn}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			if c, ok := pair[0].(*net.TCPConn); ok {
				_ = c.CloseWrite()
			}
		})
	}
	both.Wait()
}
