package vnode

import (
	"errors"
	"net/netip"
	"sync"
)

// errNoAddress says that all addresses of a node are taken.
var errNoAddress = errors.New("no address left in the node's pod range")

// pool hands out the pod addresses of one node. It goes round: an address that was given back is
// used again as late as possible, since clients in other clusters may still hold it as a backend.
type pool struct {
	mu    sync.Mutex
	cidr  netip.Prefix
	next  netip.Addr
	taken map[netip.Addr]bool
}

func newPool(cidr netip.Prefix) *pool {
	return &pool{cidr: cidr.Masked(), taken: map[netip.Addr]bool{}}
}

// take returns a free address: neither the range's first two (network, the node's own in
// Cilium's layout) nor its last.
func (p *pool) take() (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.cidr.Addr().Next().Next()
	if !p.next.IsValid() {
		p.next = first
	}
	start := p.next
	for {
		a := p.next
		p.next = a.Next()
		if !p.cidr.Contains(p.next.Next()) {
			p.next = first
		}
		if p.cidr.Contains(a) && !p.taken[a] {
			p.taken[a] = true
			return a, nil
		}
		if p.next == start {
			return netip.Addr{}, errNoAddress
		}
	}
}

func (p *pool) give(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, a)
}
