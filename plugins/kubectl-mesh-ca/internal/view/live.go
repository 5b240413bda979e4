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

// running shows what the running processes do: one row for each etcd replica, and one for all clients of a kind with the same result.
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
		for _, e := range c.EtcdReplicas {
			output.AddRow(t, c.Cluster, e.Pod, serves(e), acceptedBy(e.ClientVerdicts), e.Trust, at(e.StartTime), e.Reason)
		}
		if len(c.EtcdReplicas) == 0 {
			output.AddRow(t, c.Cluster, "-", "-", "-", "-", "-", "-")
		}
	}
	return t
}

// serves names the served chain: the leaf certificate, and how many certificates follow it.
func serves(e v1alpha1.LiveEtcd) string {
	if len(e.ServedChain) == 0 {
		return "?"
	}
	s := pki.Short(e.ServedChain[0].Fingerprint)
	if more := len(e.ServedChain) - 1; more > 0 {
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
		s += ", not by " + few(others)
	}
	return s
}

// clients has one row for each kind of process and verdict in a cluster: a mesh of hundreds of clusters has thousands of connections.
func clients(live *v1alpha1.CALive) *metav1.Table {
	t := output.NewTable("CLUSTER", "PROCESS", "PEERS", "CONNECTED", "TRUST", "+PODS", "+NODES", "+EVIDENCE", "+REASON")
	for _, c := range live.Clusters {
		var kinds []string
		of := map[string][]v1alpha1.LiveClient{}
		for _, client := range c.Clients {
			if of[client.Kind] == nil {
				kinds = append(kinds, client.Kind)
			}
			of[client.Kind] = append(of[client.Kind], client)
		}
		for _, kind := range kinds {
			addClients(t, c.Cluster, kind, of[kind])
		}
	}
	return t
}

// addClients adds one row for each verdict among the clients of a kind. Evidence and reason are those of the first.
func addClients(t *metav1.Table, cluster, kind string, all []v1alpha1.LiveClient) {
	for _, trust := range []pki.Freshness{pki.Stale, pki.UnknownFreshness, pki.Fresh} {
		some := slices.DeleteFunc(slices.Clone(all), func(c v1alpha1.LiveClient) bool { return c.Trust != string(trust) })
		if len(some) == 0 {
			continue
		}
		connected, known := 0, true
		for _, c := range some {
			known = known && c.Connected != nil
			if c.Connected != nil && *c.Connected {
				connected++
			}
		}
		state := "?"
		if known {
			state = fmt.Sprintf("%d of %d", connected, len(some))
		}
		pods := distinct(some, func(c v1alpha1.LiveClient) string { return c.Pod })
		if total := distinct(all, func(c v1alpha1.LiveClient) string { return c.Pod }); len(total) > 1 {
			kind = fmt.Sprintf("%s (%d of %d)", some[0].Kind, len(pods), len(total))
		}
		peers := distinct(some, func(c v1alpha1.LiveClient) string { return c.Peer })
		nodes := distinct(some, func(c v1alpha1.LiveClient) string { return c.Node })
		output.AddRow(t, cluster, kind, few(peers), state, string(trust), strings.Join(pods, ","), strings.Join(nodes, ","), some[0].Evidence, some[0].Reason)
	}
}

// distinct returns the values of a field, sorted, without empty ones.
func distinct(clients []v1alpha1.LiveClient, field func(v1alpha1.LiveClient) string) []string {
	var out []string
	for _, c := range clients {
		if v := field(c); v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// maxNames is how many names a cell lists.
const maxNames = 4

// few lists names, or the first of many and their number.
func few(names []string) string {
	switch n := len(names) - maxNames; {
	case len(names) == 0:
		return "-"
	case n > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ","), n)
	}
	return strings.Join(names, ",")
}

func at(t *time.Time) string {
	if t == nil {
		return "?"
	}
	return t.UTC().Format(time.RFC3339)
}
