package node

import (
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Offsets in the IPv4 header.
const (
	offsetSrc = 12
	offsetDst = 16
)

// base adds a chain that hangs on a hook.
func (b *balancer) base(name string, t nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
	return b.conn.AddChain(&nftables.Chain{
		Name: name, Table: b.table, Type: t, Hooknum: hook, Priority: nftables.ChainPriorityRef(priority),
	})
}

func (b *balancer) rule(c *nftables.Chain, exprs []expr.Any) {
	b.conn.AddRule(&nftables.Rule{Table: b.table, Chain: c, Exprs: exprs})
}

func concat(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

// load copies an address of the packet into a register.
func load(offset, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}
}

// inRange matches an address of the packet.
func inRange(offset uint32, p netip.Prefix) []expr.Any {
	ip := p.Masked().Addr().As4()
	return []expr.Any{
		load(offset, 1),
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ip[:]},
	}
}

func protocolIs(proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
	}
}

func markAsLost() []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: []byte{markLost, 0, 0, 0}},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
}
