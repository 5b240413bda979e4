package probe

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// A warning says why the cluster of a connection is unknown.
func TestExplainSockets(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		url, peer string
		want      string // "" for no warning
	}{
		"the Service":  {"tcp://db:5432", "10.96.0.1:5432", "the cluster of 2 connections is unknown: the socket in the client pod shows the address of the Service (10.96.0.1:5432)"},
		"somebody":     {"tcp://db:5432", "10.7.7.7:5432", "no cluster that was read has this address among the endpoints of the Service, or several have it: 10.7.7.7:5432"},
		"no address":   {"tcp://db:5432", "", "could not be read from /proc/net/tcp in the client pod"},
		"HTTP replies": {"http://db", "", ""},
	} {
		var ui screen
		r := fieldRun(t, &ui, "us")
		url, err := request.ParseTarget(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		r.services[0].url = url
		one := r.clients[0]
		one.tally = tally.New(r.mesh.members)
		for range 2 {
			c := reply.Reply{Connected: true}
			if tc.peer != "" {
				c.Peer = netip.MustParseAddrPort(tc.peer)
			}
			one.tally.Add(c, origin.Match{})
		}
		snap := &routing.Snapshot{Clusters: []routing.Cluster{{Name: "us", Services: map[routing.Key]*routing.Service{one.to.key: {ClusterIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")}}}}}}
		r.explainSockets(one, snap)
		if got := strings.Join(one.result.Warnings, "\n"); !strings.Contains(got, tc.want) || (got != "") != (tc.want != "") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// If no connection could be attributed, the result is not an answer, and the advice does not mention replies.
func TestNoConnectionAttributed(t *testing.T) {
	t.Parallel()
	blind := answering("us")
	blind.Answers, blind.Unknown = nil, 400
	var ui screen
	_, err := fieldRun(t, &ui, "us").conclude(t.Context(), v1alpha1.ProbeReport{Target: v1alpha1.ProbeTarget{URL: "tcp://db:5432"}, Clients: []v1alpha1.ProbeClient{blind}})
	if err == nil || err.Error() != "cluster us: the cluster of every connection is unknown" {
		t.Errorf("error %v", err)
	}
}
