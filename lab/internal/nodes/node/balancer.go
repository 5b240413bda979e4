package node

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

const (
	// hairpin is the source address of a pod that reaches itself through a service address; Cilium's loopback address.
	hairpin = "169.254.42.1"
	// maxBatch bounds a transaction: each message in it is acknowledged into one socket buffer.
	maxBatch = 32
)

// balancer is the nftables table that turns service addresses into backends:
//
//	nat prerouting -100     clients of cluster C, service address -> its chain -> dnat to a random backend
//	filter prerouting -99   what still has a service address is refused
//	filter prerouting -98   what a fault swallows is marked
//	nat postrouting         a pod that reaches itself gets another source address
//
// The client's cluster is known by its source address, so two clusters may use the same service addresses.
// A new connection's first packet decides; established ones stay where they are, as with Cilium.
type balancer struct {
	mu     sync.Mutex
	conn   *nftables.Conn
	table  *nftables.Table
	maps   map[string]*nftables.Set // cluster -> service address to verdict
	self   *nftables.Set
	faults *nftables.Chain

	gen     int
	active  map[vipKey]*nftables.Chain
	retired []*nftables.Chain
}

type vipKey struct {
	cluster, protocol string
	addr              netip.AddrPort
}

func newBalancer(clusters []podwire.ClusterNet) (*balancer, error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, err
	}
	b := &balancer{conn: conn, maps: map[string]*nftables.Set{}, active: map[vipKey]*nftables.Chain{}}
	b.table = conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "lab"})
	dnat := b.base("dnat", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, -100)
	refuse := b.base("refuse", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -99)
	b.faults = b.base("faults", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -98)
	snat := b.base("snat", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, 100)

	for _, c := range clusters {
		if err := b.addCluster(c, dnat, refuse); err != nil {
			return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	for _, c := range clusters {
		cidr, err := netip.ParsePrefix(c.ServiceCIDR)
		if err != nil {
			return nil, err
		}
		b.rule(refuse, concat(inRange(offsetDst, cidr), protocolIs(unix.IPPROTO_TCP),
			[]expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}}))
		b.rule(refuse, concat(inRange(offsetDst, cidr),
			[]expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}})) // port unreachable
	}
	b.self = &nftables.Set{Table: b.table, Name: "self", KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr)}
	if err := conn.AddSet(b.self, nil); err != nil {
		return nil, err
	}
	from := netip.MustParseAddr(hairpin).As4()
	b.rule(snat, []expr.Any{
		load(offsetSrc, 1), load(offsetDst, 9),
		&expr.Lookup{SourceRegister: 1, SetName: b.self.Name, SetID: b.self.ID},
		&expr.Immediate{Register: 1, Data: from[:]},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
	})
	return b, conn.Flush()
}

func (b *balancer) addCluster(c podwire.ClusterNet, dnat, refuse *nftables.Chain) error {
	pods, err := netip.ParsePrefix(c.PodCIDR)
	if err != nil {
		return err
	}
	dns, err := netip.ParseAddr(c.DNSIP)
	if err != nil {
		return err
	}
	m := &nftables.Set{
		Table: b.table, Name: "vips-" + c.Name, IsMap: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService),
		DataType: nftables.TypeVerdict,
	}
	if err := b.conn.AddSet(m, nil); err != nil {
		return err
	}
	b.maps[c.Name] = m
	// Registers 9 and 10 are the second and third 32-bit part of register 1: together the map's key.
	b.rule(dnat, concat(inRange(offsetSrc, pods), []expr.Any{
		load(offsetDst, 1),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 9},
		&expr.Payload{DestRegister: 10, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: 1, SetName: m.Name, SetID: m.ID, IsDestRegSet: true, DestRegister: 0},
	}))
	b.rule(refuse, concat(inRange(offsetDst, netip.PrefixFrom(dns, 32)),
		[]expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}))
	return nil
}

// update changes the backends of service addresses. It takes two transactions: the
// first adds new chains, the second turns the map to them. In one transaction a packet under
// way could see the old rules with the new sets and be refused. The chains that are no longer
// used go with the next update, when no packet can be in them.
func (b *balancer) update(vips []podwire.VIP) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(vips) > 0 {
		n := min(len(vips), maxBatch)
		if err := b.batch(vips[:n]); err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
		vips = vips[n:]
	}
	return nil
}

type change struct {
	key  vipKey
	next *nftables.Chain // nil: no backends
}

func (b *balancer) batch(vips []podwire.VIP) error {
	b.gen++
	changes := make([]change, 0, len(vips))
	for i, v := range vips {
		addr, err := netip.ParseAddrPort(v.Addr)
		if err != nil {
			return err
		}
		if b.maps[v.Cluster] == nil {
			return fmt.Errorf("no cluster %q", v.Cluster)
		}
		ch := change{key: vipKey{v.Cluster, v.Protocol, addr}}
		if len(v.Backends) > 0 {
			if ch.next, err = b.serviceChain(fmt.Sprintf("svc-%d-%d", b.gen, i), v.Backends); err != nil {
				return err
			}
		}
		changes = append(changes, ch)
	}
	if err := b.conn.Flush(); err != nil {
		return err
	}

	for _, c := range b.retired {
		b.conn.DelChain(c)
	}
	var retired []*nftables.Chain
	for _, ch := range changes {
		m := b.maps[ch.key.cluster]
		el := nftables.SetElement{Key: ch.key.bytes()}
		if old := b.active[ch.key]; old != nil {
			el.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: old.Name}
			if err := b.conn.SetDeleteElements(m, []nftables.SetElement{el}); err != nil {
				return err
			}
			retired = append(retired, old)
		}
		if ch.next != nil {
			el.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: ch.next.Name}
			if err := b.conn.SetAddElements(m, []nftables.SetElement{el}); err != nil {
				return err
			}
		}
	}
	if err := b.conn.Flush(); err != nil {
		return err
	}
	b.retired = retired
	for _, ch := range changes {
		if ch.next == nil {
			delete(b.active, ch.key)
			continue
		}
		b.active[ch.key] = ch.next
	}
	return nil
}

// serviceChain adds a chain that sends a new connection to a random backend.
func (b *balancer) serviceChain(name string, backends []string) (*nftables.Chain, error) {
	chain := b.conn.AddChain(&nftables.Chain{Name: name, Table: b.table})
	m := &nftables.Set{
		Table: b.table, Anonymous: true, Constant: true, IsMap: true,
		KeyType:  nftables.TypeInteger,
		DataType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
	}
	elems := make([]nftables.SetElement, 0, len(backends))
	for i, s := range backends {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, err
		}
		ip := a.Addr().As4()
		elems = append(elems, nftables.SetElement{
			Key: binaryutil.NativeEndian.PutUint32(uint32(i)),
			Val: append(ip[:], pad(a.Port())...),
		})
	}
	if err := b.conn.AddSet(m, elems); err != nil {
		return nil, err
	}
	b.rule(chain, []expr.Any{
		&expr.Numgen{Register: 1, Modulus: uint32(len(backends)), Type: unix.NFT_NG_RANDOM},
		&expr.Lookup{SourceRegister: 1, SetName: m.Name, SetID: m.ID, IsDestRegSet: true, DestRegister: 1},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 9, Specified: true},
	})
	return chain, nil
}

// setSelf adds or removes a pod that may reach itself through a service address.
func (b *balancer) setSelf(ip netip.Addr, present bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := ip.As4()
	el := []nftables.SetElement{{Key: append(a[:], a[:]...)}}
	change := b.conn.SetAddElements
	if !present {
		change = b.conn.SetDeleteElements
	}
	if err := change(b.self, el); err != nil {
		return err
	}
	return b.conn.Flush()
}

// setFaults replaces the rules that mark packets as lost; without sets in them that is atomic.
func (b *balancer) setFaults(f *podwire.Faults) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rules [][]expr.Any
	for _, cut := range f.Cuts {
		one, err := netip.ParsePrefix(cut[0])
		if err != nil {
			return err
		}
		two, err := netip.ParsePrefix(cut[1])
		if err != nil {
			return err
		}
		rules = append(rules,
			concat(inRange(offsetSrc, one), inRange(offsetDst, two), markAsLost()),
			concat(inRange(offsetSrc, two), inRange(offsetDst, one), markAsLost()))
	}
	for _, dead := range f.Dead {
		p, err := netip.ParsePrefix(dead)
		if err != nil {
			return err
		}
		rules = append(rules, concat(inRange(offsetSrc, p), markAsLost()), concat(inRange(offsetDst, p), markAsLost()))
	}
	b.conn.FlushChain(b.faults)
	for _, r := range rules {
		b.rule(b.faults, r)
	}
	return b.conn.Flush()
}

// chains counts the chains of the table.
func (b *balancer) chains() (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	return len(all), err
}

func (k vipKey) bytes() []byte {
	ip := k.addr.Addr().As4()
	proto := byte(unix.IPPROTO_TCP)
	if k.protocol == "udp" {
		proto = unix.IPPROTO_UDP
	}
	return append(append(ip[:], proto, 0, 0, 0), pad(k.addr.Port())...)
}

// pad writes a port as a part of a concatenation: four bytes, the port first.
func pad(port uint16) []byte {
	return append(binary.BigEndian.AppendUint16(nil, port), 0, 0)
}
