package labnet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/netctl"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// network is what faults are done to.
type network interface {
	SetFaults(ctx context.Context, f podwire.Faults) error
	Stats(ctx context.Context) (podwire.Stats, error)
}

// faults is what is broken in the network, by the clusters' names.
type faults struct {
	lab *state.Lab
	net network

	mu   sync.Mutex
	cuts [][2]string
	dead []string
}

func newFaults(lab *state.Lab, net network) *faults { return &faults{lab: lab, net: net} }

// do answers one command of the control socket.
func (f *faults) do(ctx context.Context, req netctl.Request) (netctl.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cuts, dead, err := f.after(req)
	if err != nil {
		return netctl.Reply{}, err
	}
	if req.Op != netctl.OpStatus {
		if err := f.net.SetFaults(ctx, f.ranges(cuts, dead)); err != nil {
			return netctl.Reply{}, err
		}
		f.cuts, f.dead = cuts, dead
	}
	stats, err := f.net.Stats(ctx)
	if err != nil {
		return netctl.Reply{}, err
	}
	data, err := json.Marshal(stats)
	return netctl.Reply{Cuts: f.cuts, Dead: f.dead, Net: data}, err
}

// after is what is broken once the command is done.
func (f *faults) after(req netctl.Request) (cuts [][2]string, dead []string, err error) {
	cuts, dead = slices.Clone(f.cuts), slices.Clone(f.dead)
	names := []string{req.A, req.B}
	switch req.Op {
	case netctl.OpStatus:
		return cuts, dead, nil
	case netctl.OpHeal:
		if req.A == "" && req.B == "" {
			return nil, nil, nil
		}
	case netctl.OpCut:
	case netctl.OpDead, netctl.OpAlive:
		names = names[:1]
	default:
		return nil, nil, fmt.Errorf("operation %q is none of cut, heal, dead, alive, status", req.Op)
	}
	for _, name := range names {
		if _, ok := f.lab.Cluster(name); !ok {
			return nil, nil, fmt.Errorf("the lab has no cluster %q", name)
		}
	}
	pair := [2]string{min(req.A, req.B), max(req.A, req.B)}
	cuts = slices.DeleteFunc(cuts, func(c [2]string) bool { return c == pair && len(names) == 2 })
	dead = slices.DeleteFunc(dead, func(d string) bool { return d == req.A && len(names) == 1 })
	switch req.Op {
	case netctl.OpCut:
		if req.A == req.B {
			return nil, nil, fmt.Errorf("cluster %q cannot be cut from itself; use dead", req.A)
		}
		cuts = append(cuts, pair)
	case netctl.OpDead:
		dead = append(dead, req.A)
	}
	return cuts, dead, nil
}

// ranges turns names into the ranges of addresses that the network sees of the clusters.
func (f *faults) ranges(cuts [][2]string, dead []string) podwire.Faults {
	cidr := func(name string) string {
		c, _ := f.lab.Cluster(name) // after has checked the names
		if f.lab.RunsCilium() {
			return c.NodeCIDR // pods' packets are inside those of their nodes
		}
		return c.PodCIDR
	}
	var out podwire.Faults
	for _, c := range cuts {
		out.Cuts = append(out.Cuts, [2]string{cidr(c[0]), cidr(c[1])})
	}
	for _, d := range dead {
		out.Dead = append(out.Dead, cidr(d))
	}
	return out
}
