package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

const (
	// gateway is the next hop of all pods, a link-local address on the node, as with Cilium's /32 pods.
	gateway = "169.254.1.1/32"
	// markLost marks packets that a fault swallows; they are routed to the sink. Dropping
	// them earlier would drop them before conntrack confirms the connection, and a
	// retransmitted SYN would then draw another backend, which Cilium never does.
	markLost  = 1
	lostTable = 100
	// halfOpen is for how many seconds a connection that is not established is tracked, longer than between two retransmissions of a SYN.
	halfOpen = "10"
)

// network is the node's own network namespace, of a router between the pods.
type network struct {
	handle *netlink.Handle
	mu     sync.Mutex
	next   int // number of the next veth
}

func newNetwork(clusters []podwire.ClusterNet) (*network, error) {
	h, err := netlink.NewHandle()
	if err != nil {
		return nil, err
	}
	n := &network{handle: h}
	for name, value := range map[string]string{
		"net/ipv4/ip_forward":             "1",
		"net/ipv4/conf/all/rp_filter":     "0",
		"net/ipv4/conf/default/rp_filter": "0",
	} {
		if err := sysctl(name, value); err != nil {
			return nil, err
		}
	}
	// Thousands of short connections must not fill the table. And a connection that began or ended while its backend was gone must not be kept for
	// minutes: a later one with the same source port would go to that backend and get no answer. Cilium chooses another one.
	for _, state := range []string{"syn_sent", "syn_recv", "fin_wait", "close_wait", "last_ack", "time_wait"} {
		if err := sysctl("net/netfilter/nf_conntrack_tcp_timeout_"+state, halfOpen); err != nil {
			return nil, err
		}
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		return nil, err
	}
	if err := h.LinkSetUp(lo); err != nil {
		return nil, err
	}
	local := []string{gateway}
	for _, c := range clusters {
		local = append(local, c.DNSIP+"/32")
	}
	for _, a := range local {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return nil, err
		}
		if err := h.AddrAdd(lo, addr); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("address %s: %w", a, err)
		}
	}
	if err := n.addSink(clusters); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	return n, nil
}

// addSink makes a device in which packets vanish, and routes to it what a fault marks and
// what goes to pods that do not exist: their clients see a time-out, as in a real network.
func (n *network) addSink(clusters []podwire.ClusterNet) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "sink"
	sink := &netlink.Bridge{LinkAttrs: attrs} // a bridge without ports; not every kernel has dummy devices
	if err := n.handle.LinkAdd(sink); err != nil {
		return err
	}
	if err := n.handle.LinkSetARPOff(sink); err != nil {
		return err
	}
	if err := n.handle.LinkSetUp(sink); err != nil {
		return err
	}
	for _, c := range clusters {
		_, dst, err := net.ParseCIDR(c.PodCIDR)
		if err != nil {
			return err
		}
		if err := n.handle.RouteAdd(&netlink.Route{LinkIndex: sink.Index, Dst: dst, Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("route %s: %w", dst, err)
		}
	}
	_, all, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		return err
	}
	if err := n.handle.RouteAdd(&netlink.Route{LinkIndex: sink.Index, Dst: all, Table: lostTable, Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("route of lost packets: %w", err)
	}
	rule := netlink.NewRule()
	rule.Mark, rule.Table, rule.Family = markLost, lostTable, netlink.FAMILY_V4
	return n.handle.RuleAdd(rule)
}

// join makes a network namespace with one address, connected to the node by a routed veth, and
// returns the namespace's file and the veth's name. There is no bridge between pods: two pods on
// one bridge would answer each other past the translation of service addresses.
func (n *network) join(ip netip.Addr) (ns *os.File, veth string, err error) {
	n.mu.Lock()
	n.next++
	veth = "v" + strconv.Itoa(n.next)
	n.mu.Unlock()
	var linked bool
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		if ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = veth
		link := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns.Fd()))}
		if err := n.handle.LinkAdd(link); err != nil {
			return fmt.Errorf("veth: %w", err)
		}
		linked = true
		return configurePod(ip)
	})
	if err == nil {
		err = n.route(veth, ip)
	}
	if err != nil {
		if linked {
			err = errors.Join(err, n.leave(veth))
		}
		if ns != nil {
			err = errors.Join(err, ns.Close())
		}
		return nil, "", err
	}
	return ns, veth, nil
}

// configurePod sets the pod's side up; it runs in the pod's namespace.
func configurePod(ip netip.Addr) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	for _, name := range []string{"lo", "eth0"} {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("pod's %s: %w", name, err)
		}
		if name == "eth0" {
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(32, 32)}}
			if err := h.AddrAdd(link, addr); err != nil {
				return fmt.Errorf("pod's address: %w", err)
			}
		}
		if err := h.LinkSetUp(link); err != nil {
			return fmt.Errorf("pod's %s: %w", name, err)
		}
		if name == "lo" {
			continue
		}
		gw, gwNet, err := net.ParseCIDR(gateway)
		if err != nil {
			return err
		}
		if err := h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: gwNet, Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("pod's route to the gateway: %w", err)
		}
		if err := h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gw}); err != nil {
			return fmt.Errorf("pod's default route: %w", err)
		}
	}
	return podSettings()
}

// podSettings are the kernel's settings in a pod's network namespace, that of the calling thread.
func podSettings() error {
	for name, value := range map[string]string{
		// A client opens tens of thousands of connections to one address in a probe.
		"net/ipv4/ip_local_port_range": "1024 65535",
		"net/ipv4/tcp_tw_reuse":        "1",
		// As container runtimes set it: port 80 needs no capability.
		"net/ipv4/ip_unprivileged_port_start": "0",
	} {
		if err := sysctl(name, value); err != nil {
			return err
		}
	}
	return nil
}

// route sends the pod's address to its veth.
func (n *network) route(veth string, ip netip.Addr) error {
	link, err := n.handle.LinkByName(veth)
	if err != nil {
		return err
	}
	if err := n.handle.LinkSetUp(link); err != nil {
		return err
	}
	dst := &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(32, 32)}
	if err := n.handle.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK}); err != nil {
		return fmt.Errorf("route %s: %w", dst, err)
	}
	return nil
}

// leave removes a pod's veth, its peer and its route.
func (n *network) leave(veth string) error {
	link, err := n.handle.LinkByName(veth)
	if err != nil {
		return fmt.Errorf("veth %s: %w", veth, err)
	}
	return n.handle.LinkDel(link)
}

// sysctl writes a kernel setting of the calling thread's network namespace.
func sysctl(name, value string) error {
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o600); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}
