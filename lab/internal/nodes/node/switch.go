package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// errNotHere answers a request that this kind of node has no use for.
var errNotHere = errors.New("this node does not do that")

// wrap says what failed; nil stays nil.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// ethernetSwitch connects machines: one bridge. It breaks connections by address, as a network outside the machines does.
type ethernetSwitch struct {
	handle *netlink.Handle
	bridge *netlink.Bridge

	mu    sync.Mutex
	rules *nftables.Conn
	table *nftables.Table
	chain *nftables.Chain
}

var _ podNetwork = (*ethernetSwitch)(nil)

func newSwitch() (*ethernetSwitch, error) {
	h, err := netlink.NewHandle()
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "switch"
	s := &ethernetSwitch{handle: h, bridge: &netlink.Bridge{LinkAttrs: attrs}}
	if err := h.LinkAdd(s.bridge); err != nil {
		return nil, wrap("switch", err)
	}
	if err := h.LinkSetUp(s.bridge); err != nil {
		return nil, wrap("switch", err)
	}
	if s.rules, err = nftables.New(nftables.AsLasting()); err != nil {
		return nil, wrap("nftables", err)
	}
	s.table = s.rules.AddTable(&nftables.Table{Family: nftables.TableFamilyBridge, Name: "lab"})
	s.chain = s.rules.AddChain(&nftables.Chain{
		Name: "faults", Table: s.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(0),
	})
	return s, wrap("nftables", s.rules.Flush())
}

// link makes a cable: one end is a port of the switch, the other is eth0 of the machine whose namespace ns is.
func (s *ethernetSwitch) link(c *podwire.Cable, ns *os.File) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = c.Name, s.bridge.Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns.Fd()))}
	if err := s.handle.LinkAdd(veth); err != nil {
		return wrap("cable", err)
	}
	if err := s.handle.LinkSetUp(veth); err != nil {
		return wrap("cable", err)
	}
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return wrap("enter the machine's network", err)
		}
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		eth0, err := h.LinkByName("eth0")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(c.Address)
		if err != nil {
			return err
		}
		if err := h.AddrAdd(eth0, addr); err != nil {
			return wrap("address "+c.Address, err)
		}
		return h.LinkSetUp(eth0)
	})
}

// setFaults replaces the pairs of address ranges that cannot reach each other, and those that nobody reaches.
func (s *ethernetSwitch) setFaults(f *podwire.Faults) error {
	drops, err := dropped(f)
	if err != nil {
		return err
	}
	inside, err := within(f.Dead)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.FlushChain(s.chain)
	for _, match := range inside {
		s.rules.AddRule(&nftables.Rule{Table: s.table, Chain: s.chain, Exprs: concat(isIPv4(), match, []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}})})
	}
	for _, match := range drops {
		s.rules.AddRule(&nftables.Rule{Table: s.table, Chain: s.chain, Exprs: concat(isIPv4(), match, []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})})
	}
	return wrap("nftables", s.rules.Flush())
}

// within are the packets that stay inside a range. The nodes of a cluster that nobody reaches still reach each other: the API server answers on
// the first one.
func within(ranges []string) ([][]expr.Any, error) {
	var matches [][]expr.Any
	for _, text := range ranges {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		matches = append(matches, concat(inRange(offsetSrc, p), inRange(offsetDst, p)))
	}
	return matches, nil
}

// dropped are the packets that faults drop; each element matches one direction.
func dropped(f *podwire.Faults) ([][]expr.Any, error) {
	var drops [][]expr.Any
	add := func(matches ...[]expr.Any) { drops = append(drops, concat(matches...)) }
	for _, c := range f.Cuts {
		a, b, err := twoPrefixes(c)
		if err != nil {
			return nil, err
		}
		add(inRange(offsetSrc, a), inRange(offsetDst, b))
		add(inRange(offsetSrc, b), inRange(offsetDst, a))
	}
	for _, d := range f.Dead {
		p, err := netip.ParsePrefix(d)
		if err != nil {
			return nil, err
		}
		add(inRange(offsetSrc, p))
		add(inRange(offsetDst, p))
	}
	return drops, nil
}

// isIPv4 matches frames by their EtherType: the rules of a bridge see all of them.
func isIPv4() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0x08, 0x00}},
	}
}

func twoPrefixes(pair [2]string) (a, b netip.Prefix, err error) {
	if a, err = netip.ParsePrefix(pair[0]); err != nil {
		return a, b, err
	}
	b, err = netip.ParsePrefix(pair[1])
	return a, b, err
}

func (s *ethernetSwitch) join(context.Context, *podwire.Pod) (*attachment, error) {
	return nil, errNotHere
}
func (s *ethernetSwitch) setVIPs([]podwire.VIP) error { return errNotHere }

func (s *ethernetSwitch) count(st *podwire.Stats) error {
	links, err := s.handle.LinkList()
	st.Links = len(links)
	return err
}

// upLoopback brings the loopback interface of the calling thread's network namespace up.
func upLoopback(h *netlink.Handle) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return err
	}
	return h.LinkSetUp(lo)
}
