package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// running shows what the running processes do: one row for each etcd replica, and one for all clients of a kind and a peer with the same result.
func running(live *v1alpha1.CALive) []output.Section {
	if live == nil {
		return nil
	}
	sections := []output.Section{{Title: "Running etcd replicas", Table: replicas(live)}}
	if t := clients(live); len(t.Rows) > 0 {
		sections = append(sections, output.Section{Title: "Running clients of etcd", Table: t})
	}
	return sections
}

func replicas(live *v1alpha1.CALive) *metav1.Table {
	t := output.NewTable("CLUSTER", "POD", "SERVES", "ACCEPTED-BY", "TRUST", "+STARTED", "+REASON")
	for _, c := range live.Clusters {
		for _, e := range c.Etcd {
			output.AddRow(t, c.Cluster, e.Pod, serves(e), acceptedBy(e.Accepted), e.Trust, at(e.Started), e.Reason)
		}
		if len(c.Etcd) == 0 {
			output.AddRow(t, c.Cluster, "-", "-", "-", "-", "-", "-")
		}
	}
	return t
}

// serves names the served chain: the leaf certificate, and how many certificates follow it.
func serves(e v1alpha1.LiveEtcd) string {
	if len(e.Served) == 0 {
		return "?"
	}
	s := pki.Short(e.Served[0].Fingerprint)
	if more := len(e.Served) - 1; more > 0 {
		s += fmt.Sprintf(" + %d", more)
	}
	return s
}

// acceptedBy counts the clusters whose clients accept a chain, and names the others.
func acceptedBy(all []v1alpha1.LiveAcceptance) string {
	var others []string
	for _, a := range all {
		if a.Verdict != string(pki.OK) {
			others = append(others, a.Client)
		}
	}
	s := fmt.Sprintf("%d of %d", len(all)-len(others), len(all))
	if len(all) == 0 {
		return "-"
	}
	if len(others) > 0 {
		s += ", not by " + strings.Join(others, ", ")
	}
	return s
}

// group is the clients of one kind in one cluster, for one peer.
type group struct{ cluster, kind, peer string }

func clients(live *v1alpha1.CALive) *metav1.Table {
	t := output.NewTable("CLUSTER", "PROCESS", "PEER", "CONNECTED", "TRUST", "+POD", "+NODE", "+EVIDENCE", "+REASON")
	for _, c := range live.Clusters {
		var order []group
		of := map[group][]v1alpha1.LiveClient{}
		for _, client := range c.Clients {
			g := group{c.Cluster, client.Kind, client.Peer}
			if of[g] == nil {
				order = append(order, g)
			}
			of[g] = append(of[g], client)
		}
		for _, g := range order {
			addClients(t, g, of[g])
		}
	}
	return t
}

// addClients adds one row for each verdict among the clients of a group.
func addClients(t *metav1.Table, g group, all []v1alpha1.LiveClient) {
	for _, trust := range []pki.Freshness{pki.Stale, pki.UnknownFreshness, pki.Fresh} {
		some := slices.DeleteFunc(slices.Clone(all), func(c v1alpha1.LiveClient) bool { return c.Trust != string(trust) })
		if len(some) == 0 {
			continue
		}
		connected, known := 0, true
		var pods, nodes []string
		for _, c := range some {
			known = known && c.Connected != nil
			if c.Connected != nil && *c.Connected {
				connected++
			}
			pods, nodes = append(pods, c.Pod), append(nodes, c.Node)
		}
		state := "?"
		if known {
			state = fmt.Sprintf("%d of %d", connected, len(some))
		}
		process := g.kind
		if len(all) > 1 {
			process = fmt.Sprintf("%s (%d of %d)", g.kind, len(some), len(all))
		}
		slices.Sort(nodes)
		output.AddRow(t, g.cluster, process, dash(g.peer), state, string(trust), strings.Join(pods, ","), strings.Join(slices.Compact(nodes), ","), some[0].Evidence, some[0].Reason)
	}
}

func at(t *time.Time) string {
	if t == nil {
		return "?"
	}
	return t.UTC().Format(time.RFC3339)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
