// Package labnet puts the second half of the lab together: the node process with its pods, DNS, the
// chooser of backends and the nodes of all clusters, in one process for the whole lab. It
// knows how these fit and nothing else; the control planes are another process each.
package labnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/chooser"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/realcilium"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/dns"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/netctl"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podnet"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/images"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/nodes/vnode"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// Options are what a run needs.
type Options struct {
	Dir state.Dir
	// Pod is the binary meshlab-pod.
	Pod string
	// Cilium is where Cilium's programs are, in a lab that runs them.
	Cilium realcilium.Files
	// Ready gets one line when all nodes are registered; Log everything else.
	Ready io.Writer
	Log   io.Writer
}

// Run serves the lab until the context ends or the node process dies.
func Run(ctx context.Context, o Options) error {
	lab, err := o.Dir.Read()
	if err != nil {
		return err
	}
	work := filepath.Join(o.Dir.NetDir(), "work")
	logs := filepath.Join(o.Dir.NetDir(), "logs")
	o.Cilium.Objects = filepath.Join(o.Dir.NetDir(), "objects")
	for _, d := range []string{work, logs, volumeDir(o.Dir), diskDir(o.Dir), o.Cilium.Objects} {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	store, err := images.Open(ctx, o.Pod)
	if err != nil {
		return err
	}
	if install, names := store.Missing(); len(install) > 0 {
		_, _ = fmt.Fprintf(o.Log, "images %v cannot be made here: apt-get install %v\n", names, install)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	n := &labNet{lab: lab, log: o.Log, store: store, logs: logs, options: o}
	if lab.RunsCilium() {
		n.machines, err = startMachines(ctx, lab, o, work)
		if err != nil {
			return err
		}
		defer n.machines.close()
		g.Go(func() error { return n.machines.watch(ctx) })
		if err := n.serveMachines(ctx, g, o.Dir); err != nil {
			return err
		}
		return n.serveClusters(ctx, g, o)
	}
	client, err := podnet.Start(ctx, o.Pod, n.setup(work, o.Dir), o.Log)
	switch {
	case errors.Is(err, podnet.ErrNotAllowed):
		// The control planes are of use without pods; whoever executes something in one is told.
		_, _ = fmt.Fprintln(o.Log, "pods are only shown here, without processes and network:", err)
		n.noRuntime = err
	case err != nil:
		return fmt.Errorf("node process: %w", err)
	default:
		n.client = client
		defer func() { _ = client.Close() }()
		g.Go(func() error { return n.watchNode(ctx) })
		if err := n.serveNetwork(ctx, g, o.Dir); err != nil {
			return err
		}
	}
	return n.serveClusters(ctx, g, o)
}

// serveClusters runs the nodes of all clusters.
func (n *labNet) serveClusters(ctx context.Context, g *errgroup.Group, o Options) error {
	var ready sync.WaitGroup
	ready.Add(len(n.lab.Clusters))
	for _, c := range n.lab.Clusters {
		nodes, err := n.nodes(c)
		if err != nil {
			return err
		}
		g.Go(func() error { return nodes.Run(ctx, ready.Done) })
	}
	g.Go(func() error { return announce(ctx, &ready, o) })
	return g.Wait()
}

// announce says that all nodes are there.
func announce(ctx context.Context, ready *sync.WaitGroup, o Options) error {
	done := make(chan struct{})
	go func() {
		ready.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return nil
	}
	if err := state.WriteFile(o.Dir.NetReady(), nil, 0o600); err != nil {
		return err
	}
	_, err := fmt.Fprintln(o.Ready, "ready")
	return err
}

type labNet struct {
	lab       *state.Lab
	log       io.Writer
	store     *images.Store
	logs      string
	client    *podnet.Client
	noRuntime error
	faults    *faults
	options   Options
	machines  *machines // only in a lab that runs Cilium
}

// watchNode ends everything when the node process dies: without it no pod runs.
func (n *labNet) watchNode(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-n.client.Done():
	}
	if ended := ctx.Err() == nil; ended {
		return errors.New("the node process has ended")
	}
	return nil
}

func (n *labNet) setup(work string, dir state.Dir) podwire.Setup {
	s := podwire.Setup{WorkDir: work, State: string(dir)}
	for _, c := range n.lab.Clusters {
		s.Clusters = append(s.Clusters, podwire.ClusterNet{Name: c.Name, PodCIDR: c.PodCIDR, ServiceCIDR: c.ServiceCIDR, DNSIP: c.DNSIP})
	}
	return s
}

// serveNetwork starts the chooser, DNS and the control socket.
func (n *labNet) serveNetwork(ctx context.Context, g *errgroup.Group, dir state.Dir) error {
	var judge chooser.Chooser = chooser.Rules{}
	if n.lab.Chooser == state.ChooserCilium {
		judge = &chooser.Cilium{Dir: dir.ChooserDir()}
	}
	control := chooser.New(judge, n.client, time.Duration(n.lab.PropagationDelay), n.log)
	handler, err := n.names(control)
	if err != nil {
		return err
	}
	var servers []string
	for _, c := range n.lab.Clusters {
		servers = append(servers, c.DNSIP)
	}
	if err := dns.Serve(ctx, handler, n.client, servers, n.log); err != nil {
		return err
	}
	n.faults = newFaults(n.lab, n.client)
	if err := netctl.Serve(ctx, dir.NetDir(), n.faults.do, n.log); err != nil {
		return err
	}
	g.Go(func() error {
		control.Run(ctx)
		return nil
	})
	return nil
}

// names has control watch all clusters, and returns the DNS server that answers by what it sees.
func (n *labNet) names(control *chooser.Controller) (*dns.Handler, error) {
	handler := &dns.Handler{Records: records{control}}
	for _, c := range n.lab.Clusters {
		client, err := newClient(c, 50)
		if err != nil {
			return nil, err
		}
		source, err := chooser.NewSource(c.Name, c.Context, cilium.ParseVersion(c.CiliumVersion), client, control.Notify)
		if err != nil {
			return nil, err
		}
		control.Add(source)
		pods, err := netip.ParsePrefix(c.PodCIDR)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		server, err := netip.ParseAddr(c.DNSIP)
		if err != nil {
			return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
		}
		handler.Zones = append(handler.Zones, dns.Zone{Cluster: c.Name, Pods: pods})
		if c.NodeCIDR != "" { // Cilium replaces the addresses of pods that ask another node by that of their own
			nodes, err := netip.ParsePrefix(c.NodeCIDR)
			if err != nil {
				return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
			}
			handler.Zones = append(handler.Zones, dns.Zone{Cluster: c.Name, Pods: nodes})
		}
		control.Skip = append(control.Skip, server)
	}
	return handler, nil
}

func (n *labNet) nodes(c state.Cluster) (*vnode.Cluster, error) {
	client, err := newClient(c, 300)
	if err != nil {
		return nil, err
	}
	cfg := vnode.Config{Cluster: c, Client: client, NoRuntime: n.noRuntime, Images: n.store, LogDir: n.logs, Log: n.log}
	if n.client != nil {
		cfg.Runtime = n.client
	}
	if n.machines != nil {
		if err := n.machines.configure(&cfg); err != nil {
			return nil, err
		}
		cfg.Programs, cfg.VolumeDir = n.options.Cilium.Image, volumeDir(n.options.Dir)
	}
	return vnode.New(cfg)
}

// newClient makes a client that is not slowed down below qps requests a second.
func newClient(c state.Cluster, qps float32) (*kubernetes.Clientset, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = qps, int(2*qps)
	cfg.UserAgent = "meshlab-net"
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("cluster %q: %w", c.Name, err)
	}
	return client, nil
}

// records joins the chooser's view with DNS.
type records struct{ control *chooser.Controller }

// Lookup finds the addresses of a Service's name.
func (r records) Lookup(cluster, namespace, name string) (dns.Service, bool) {
	rec, ok := r.control.Records(cluster, namespace, name)
	return dns.Service{Addrs: rec.Addrs, Hosts: rec.Hosts, External: rec.External}, ok
}
