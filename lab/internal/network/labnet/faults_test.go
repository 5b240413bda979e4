package labnet

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/netctl"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

type fakeNetwork struct{ faults podwire.Faults }

func (f *fakeNetwork) SetFaults(_ context.Context, faults podwire.Faults) error {
	f.faults = faults
	return nil
}

func (*fakeNetwork) Stats(context.Context) (podwire.Stats, error) { return podwire.Stats{Pods: 1}, nil }

func TestFaults(t *testing.T) {
	t.Parallel()
	lab := &state.Lab{Clusters: []state.Cluster{
		{Name: "us", PodCIDR: "10.1.0.0/16"}, {Name: "eu", PodCIDR: "10.2.0.0/16"}, {Name: "ap", PodCIDR: "10.3.0.0/16"},
	}}
	usEU := [2]string{"10.2.0.0/16", "10.1.0.0/16"}
	apUS := [2]string{"10.3.0.0/16", "10.1.0.0/16"}
	type step = netctl.Request
	tests := map[string]struct {
		steps []step
		want  podwire.Faults
		err   string
	}{
		"cut":                    {steps: []step{{Op: "cut", A: "us", B: "eu"}}, want: podwire.Faults{Cuts: [][2]string{usEU}}},
		"cut twice":              {steps: []step{{Op: "cut", A: "us", B: "eu"}, {Op: "cut", A: "eu", B: "us"}}, want: podwire.Faults{Cuts: [][2]string{usEU}}},
		"two cuts, one heals":    {steps: []step{{Op: "cut", A: "us", B: "eu"}, {Op: "cut", A: "us", B: "ap"}, {Op: "heal", A: "eu", B: "us"}}, want: podwire.Faults{Cuts: [][2]string{apUS}}},
		"all heals":              {steps: []step{{Op: "cut", A: "us", B: "eu"}, {Op: "dead", A: "ap"}, {Op: "heal"}}},
		"dead":                   {steps: []step{{Op: "dead", A: "eu"}}, want: podwire.Faults{Dead: []string{"10.2.0.0/16"}}},
		"dead and alive":         {steps: []step{{Op: "dead", A: "eu"}, {Op: "alive", A: "eu"}}},
		"status changes nothing": {steps: []step{{Op: "dead", A: "eu"}, {Op: "status"}}, want: podwire.Faults{Dead: []string{"10.2.0.0/16"}}},
		"unknown cluster":        {steps: []step{{Op: "cut", A: "us", B: "xx"}}, err: `no cluster "xx"`},
		"itself":                 {steps: []step{{Op: "cut", A: "us", B: "us"}}, err: "cannot be cut from itself"},
		"unknown operation":      {steps: []step{{Op: "burn", A: "us"}}, err: `operation "burn"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			net := &fakeNetwork{}
			f := newFaults(lab, net)
			var err error
			for _, s := range tt.steps {
				if _, err = f.do(t.Context(), s); err != nil {
					break
				}
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, net.faults); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFaultsBetweenNodes: with Cilium's tunnels the network sees the addresses of nodes only.
func TestFaultsBetweenNodes(t *testing.T) {
	t.Parallel()
	lab := &state.Lab{Datapath: state.DatapathCilium, Clusters: []state.Cluster{
		{Name: "us", PodCIDR: "10.1.0.0/16", NodeCIDR: "10.200.1.0/24"}, {Name: "eu", PodCIDR: "10.2.0.0/16", NodeCIDR: "10.200.2.0/24"},
	}}
	net := &fakeNetwork{}
	f := newFaults(lab, net)
	for _, request := range []netctl.Request{{Op: netctl.OpCut, A: "us", B: "eu"}, {Op: netctl.OpDead, A: "us"}} {
		if _, err := f.do(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	want := podwire.Faults{Cuts: [][2]string{{"10.200.2.0/24", "10.200.1.0/24"}}, Dead: []string{"10.200.1.0/24"}}
	if diff := cmp.Diff(want, net.faults); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
