package view_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

func TestStatusLive(t *testing.T) {
	t.Parallel()
	agent := func(pod, trust string, connected *bool) v1alpha1.LiveClient {
		return v1alpha1.LiveClient{Kind: "agent", Pod: pod, Node: "n", Peer: "eu", Trust: trust, Connected: connected}
	}
	served := []v1alpha1.Certificate{certificate("CN=a", now), certificate("CN=X", now)}
	doc := v1alpha1.CAReport{Live: &v1alpha1.CALive{Clusters: []v1alpha1.LiveCluster{
		{Cluster: "us", EtcdReplicas: []v1alpha1.LiveEtcd{
			{Pod: "mesh-0", Trust: "fresh", ServedChain: served, StartTime: ptr.To(now.Add(-time.Hour)), ClientVerdicts: []v1alpha1.LiveAcceptance{{Client: "eu", Verdict: "ok"}, {Client: "ap", Verdict: "broken"}}},
			{Pod: "mesh-1", Trust: "unknown", Message: "timeout"},
		}, Clients: []v1alpha1.LiveClient{
			agent("a1", "fresh", ptr.To(true)), agent("a2", "stale", ptr.To(true)), agent("a3", "fresh", ptr.To(true)), {Kind: "agent", Pod: "a4", Node: "n", Trust: "unknown"},
			{Kind: "kvstoremesh", Pod: "mesh-0", Peer: "eu", Trust: "unknown", Connected: ptr.To(false)},
		}},
		{Cluster: "eu"},
	}}}
	want := `Running etcd replicas
CLUSTER   POD      SERVES         ACCEPTED-BY         TRUST
us        mesh-0   abababab + 1   1 of 2, not by ap   fresh
us        mesh-1   ?              -                   unknown
eu        -        -              -                   -

Running clients of etcd
CLUSTER   PROCESS          PEERS   CONNECTED   TRUST
us        agent (1 of 4)   eu      1 of 1      stale
us        agent (1 of 4)   -       ?           unknown
us        agent (2 of 4)   eu      2 of 2      fresh
us        kvstoremesh      eu      0 of 1      unknown`
	if d := cmp.Diff(want, show(t, view.Status(doc, now, false)[1:])); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := len(view.Status(v1alpha1.CAReport{}, now, false)); got != 1 {
		t.Errorf("without --live: %d sections", got)
	}
}

// In a large mesh each process has a connection to every other cluster; the table stays short.
func TestStatusLiveOfManyClusters(t *testing.T) {
	t.Parallel()
	c := v1alpha1.LiveCluster{Cluster: "us", EtcdReplicas: []v1alpha1.LiveEtcd{{Pod: "mesh-0", Trust: "fresh", ServedChain: []v1alpha1.Certificate{certificate("CN=a", now)}}}}
	for i := range 254 {
		peer := fmt.Sprintf("c%03d", i)
		c.EtcdReplicas[0].ClientVerdicts = append(c.EtcdReplicas[0].ClientVerdicts, v1alpha1.LiveAcceptance{Client: peer, Verdict: "broken"})
		for _, pod := range []string{"a1", "a2"} {
			c.Clients = append(c.Clients, v1alpha1.LiveClient{Kind: "agent", Pod: pod, Peer: peer, Trust: "fresh", Connected: ptr.To(true)})
		}
	}
	want := `Running etcd replicas
CLUSTER   POD      SERVES     ACCEPTED-BY                                            TRUST
us        mesh-0   abababab   0 of 254, not by c000,c001,c002,c003 and 250 more   fresh

Running clients of etcd
CLUSTER   PROCESS          PEERS                              CONNECTED    TRUST
us        agent (2 of 2)   c000,c001,c002,c003 and 250 more   508 of 508   fresh`
	got := show(t, view.Status(v1alpha1.CAReport{Live: &v1alpha1.CALive{Clusters: []v1alpha1.LiveCluster{c}}}, now, false)[1:])
	squeeze := func(s string) string { return regexp.MustCompile(" {2,}").ReplaceAllString(s, "  ") }
	if d := cmp.Diff(squeeze(want), squeeze(got)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
