package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/pkg/invoke"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

const (
	// netnsDir contains a file for the network namespace of each pod, as container runtimes have it.
	netnsDir = "/run/netns"
	// cgroupDir shows the node's cgroup. Programs that Cilium attaches there see only sockets of the node's pods.
	cgroupDir = "/run/cilium/cgroupv2"
	// pluginTimeout bounds a call of the CNI plugin. The first pod of an agent waits until its datapath is compiled.
	pluginTimeout = 90 * time.Second
)

// machine is a node that looks like a machine of its own: what runs in it sees its own /run, /sys, BPF file system and
// cgroup. A CNI plugin makes the networks of its pods. All of it vanishes with the node's namespaces.
type machine struct {
	podwire.Machine
	handle *netlink.Handle
}

var _ podNetwork = (*machine)(nil)

func newMachine(m podwire.Machine) (*machine, error) {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		// First: nothing may run here that could change a setting of the real machine.
		{"protect the kernel's settings", func() error { return protectKernel("/proc") }},
		{"host name", func() error { return unix.Sethostname([]byte(m.Name)) }},
		{"/run", func() error { return unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755") }},
		{netnsDir, func() error { return makeDir(netnsDir) }},
		{cgroupDir, func() error { return makeDir(cgroupDir) }},
		{"lock of iptables", func() error { return os.WriteFile("/run/xtables.lock", nil, 0o600) }},
		{cgroupDir, func() error { return unix.Mount(m.Cgroup, cgroupDir, "", unix.MS_BIND, "") }},
		{"/sys", func() error {
			return mountSys("/sys")
		}},
		{"/sys/fs/bpf", func() error {
			return unix.Mount("bpf", "/sys/fs/bpf", "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		}},
	} {
		if err := step.do(); err != nil {
			return nil, wrap(step.what, err)
		}
	}
	h, err := netlink.NewHandle()
	if err != nil {
		return nil, err
	}
	if err := upLoopback(h); err != nil {
		return nil, wrap("loopback interface", err)
	}
	return &machine{Machine: m, handle: h}, sysctl("net/ipv4/ip_forward", "1")
}

// join makes a network namespace and has the CNI plugin connect it.
func (m *machine) join(ctx context.Context, p *podwire.Pod) (*attachment, error) {
	file := filepath.Join(netnsDir, p.Name)
	ns, err := newNetns(file)
	if err != nil {
		return nil, err
	}
	remove := func() error { return errors.Join(unix.Unmount(file, unix.MNT_DETACH), os.Remove(file)) }
	ip, err := m.add(ctx, p, file)
	if err != nil {
		return nil, errors.Join(err, m.del(p, file), remove(), ns.Close())
	}
	return &attachment{ip: ip, netns: ns, leave: func() error { return errors.Join(m.del(p, file), remove()) }}, nil
}

// newNetns makes a network namespace and binds it to a file, by which other programs find it.
func newNetns(file string) (ns *os.File, err error) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return nil, err
	}
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return wrap("new network namespace", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, ""); err != nil {
			return wrap("bind the network namespace", err)
		}
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		if err := upLoopback(h); err != nil {
			return err
		}
		return podSettings()
	})
	if err == nil {
		ns, err = os.Open(file)
	}
	if err != nil {
		_ = unix.Unmount(file, unix.MNT_DETACH) // fails only if nothing was bound to it
		return nil, errors.Join(err, os.Remove(file))
	}
	return ns, nil
}

func (m *machine) add(ctx context.Context, p *podwire.Pod, file string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, pluginTimeout)
	defer cancel()
	raw, err := invoke.ExecPluginWithResult(ctx, m.Plugin, []byte(m.Network), m.args("ADD", p, file), pluginExec())
	if err != nil {
		return netip.Addr{}, wrap("CNI plugin", err)
	}
	result, err := types100.NewResultFromResult(raw)
	if err != nil {
		return netip.Addr{}, wrap("result of the CNI plugin", err)
	}
	for _, ip := range result.IPs {
		if addr, ok := netip.AddrFromSlice(ip.Address.IP.To4()); ok {
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the CNI plugin gave the pod no IPv4 address")
}

func (m *machine) del(p *podwire.Pod, file string) error {
	ctx, cancel := context.WithTimeout(context.Background(), pluginTimeout)
	defer cancel()
	return wrap("CNI plugin", invoke.ExecPluginWithoutResult(ctx, m.Plugin, []byte(m.Network), m.args("DEL", p, file), pluginExec()))
}

// pluginExec calls the plugin without its messages, which it also writes into its log file.
func pluginExec() invoke.Exec {
	return &invoke.DefaultExec{RawExec: &invoke.RawExec{Stderr: io.Discard}}
}

func (m *machine) args(command string, p *podwire.Pod, file string) *invoke.Args {
	return &invoke.Args{
		Command: command, ContainerID: p.Name, NetNS: file, IfName: "eth0", Path: filepath.Dir(m.Plugin), PluginArgs: p.Args,
	}
}

func (m *machine) link(*podwire.Cable, *os.File) error { return errNotHere }
func (m *machine) setVIPs([]podwire.VIP) error         { return errNotHere }
func (m *machine) setFaults(*podwire.Faults) error     { return errNotHere }

func (m *machine) count(st *podwire.Stats) error {
	links, err := m.handle.LinkList()
	st.Links = len(links)
	return err
}
