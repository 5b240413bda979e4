package labnet

import (
	"io"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/cilium/chooser"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/dns"
	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"
)

// TestZones: the DNS server knows the cluster of a pod that asks, by the address of its node, too.
func TestZones(t *testing.T) {
	t.Parallel()
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: "https://127.0.0.1:1"}
	config.Contexts["c"] = &api.Context{Cluster: "c"}
	config.CurrentContext = "c"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	n := &labNet{log: io.Discard, lab: &state.Lab{Clusters: []state.Cluster{
		{Name: "us", Kubeconfig: file, CiliumVersion: "1.20.2", PodCIDR: "10.1.0.0/16", NodeCIDR: "10.200.1.0/24", DNSIP: "172.20.1.10"},
		{Name: "eu", Kubeconfig: file, CiliumVersion: "1.20.2", PodCIDR: "10.2.0.0/16", DNSIP: "172.20.2.10"},
	}}}
	handler, err := n.names(chooser.New(chooser.Rules{}, noDataplane{}, 0, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix
	want := []dns.Zone{{Cluster: "us", Pods: prefix("10.1.0.0/16")}, {Cluster: "us", Pods: prefix("10.200.1.0/24")}, {Cluster: "eu", Pods: prefix("10.2.0.0/16")}}
	if diff := cmp.Diff(want, handler.Zones, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
