package node

import (
	"context"
	"errors"
	"net/netip"
	"os"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// router connects the pods of all clusters: routed veths, and one nftables table for service addresses.
type router struct {
	*network
	lb *balancer
}

var _ podNetwork = (*router)(nil)

func newRouter(clusters []podwire.ClusterNet) (*router, error) {
	network, err := newNetwork(clusters)
	if err != nil {
		return nil, wrap("network", err)
	}
	lb, err := newBalancer(clusters)
	if err != nil {
		return nil, wrap("nftables", err)
	}
	return &router{network: network, lb: lb}, nil
}

func (r *router) join(_ context.Context, p *podwire.Pod) (*attachment, error) {
	ip, err := netip.ParseAddr(p.IP)
	if err != nil {
		return nil, err
	}
	ns, veth, err := r.network.join(ip)
	if err != nil {
		return nil, err
	}
	leave := func() error { return errors.Join(r.network.leave(veth), r.lb.setSelf(ip, false)) }
	if err := r.lb.setSelf(ip, true); err != nil {
		return nil, errors.Join(err, leave(), ns.Close())
	}
	return &attachment{ip: ip, netns: ns, leave: leave}, nil
}

func (r *router) setVIPs(vips []podwire.VIP) error    { return r.lb.update(vips) }
func (r *router) setFaults(f *podwire.Faults) error   { return r.lb.setFaults(f) }
func (r *router) link(*podwire.Cable, *os.File) error { return errNotHere }

func (r *router) count(st *podwire.Stats) error {
	links, err := r.handle.LinkList()
	if err != nil {
		return err
	}
	st.Links = len(links)
	st.Chains, err = r.lb.chains()
	return err
}
