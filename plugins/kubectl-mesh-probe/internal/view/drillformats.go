package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/prometheus"
)

// evict is the drill that has nothing to restore.
const evict = "evict"

// DrillJUnit writes one test for the drill itself, one for each client that says whether its requests are complete, and one for each check. A drill that
// was refused, or that could not restore, is an error, as is an inconclusive check.
func DrillJUnit(w io.Writer, r v1alpha1.DrillReport) error {
	out := junit.Suite{Name: junit.Text(fmt.Sprintf("kubectl mesh-probe drill %s in %s with %s", r.Service, r.Cluster, r.With))}
	whole := junit.Case{Class: "drill", Name: "done and restored", Out: r.State}
	if r.With == evict {
		whole.Name, whole.Out = "done", ""
	}
	if r.State == "refused" || r.State == "notRestored" || r.State == "restored" && !r.Complete {
		whole.Out, whole.Error = "", &junit.Detail{Message: junit.Text(r.Reason), Type: r.State}
	}
	out.Cases = append(out.Cases, whole)
	for i, c := range r.Clients {
		out.Cases = append(out.Cases, completeCase(c.Name, c.Complete, c.Reason, drillTable(r, i)))
	}
	for _, k := range r.Checks {
		out.Cases = append(out.Cases, checkCase(k))
	}
	return out.Write(w)
}

// drillTable is what -o table shows about one client.
func drillTable(r v1alpha1.DrillReport, i int) string {
	r.Clients, r.Checks, r.Changes = r.Clients[i:i+1], nil, nil
	r.Propagation, r.ReturnPropagation, r.RepairCommand = nil, nil, ""
	if r.State == "restored" {
		r.State = ""
	}
	return plain(Drill(r, false))
}

// DrillPrometheus writes the report as metrics. All describe one drill, so all are gauges. Every sample has the labels service, cluster (the drilled one)
// and with. A check that is inconclusive is not 1.
func DrillPrometheus(w io.Writer, r v1alpha1.DrillReport) error {
	m := &prometheus.Metrics{}
	labels := func(more ...string) []string {
		return append([]string{"service", r.Service, "cluster", r.Cluster, "with", r.With}, more...)
	}
	of := func(c v1alpha1.DrillClient, more ...string) []string {
		return labels(append([]string{"client_cluster", c.Cluster, "client_pod", c.Pod}, more...)...)
	}
	for _, x := range []struct {
		name, help string
		value      func(v1alpha1.DrillClient) *float64
	}{
		{"failover_seconds", "Longest time without a successful answer, counted from the write.", func(c v1alpha1.DrillClient) *float64 { return c.FailoverMs }},
		{"failover_resolution_seconds", "How much shorter the failover may have been.", func(c v1alpha1.DrillClient) *float64 { return c.ResolutionMs }},
		{"followed_seconds", "Time from the write until only other clusters answered.", func(c v1alpha1.DrillClient) *float64 { return c.FollowedMs }},
		{"return_seconds", "Time from the restoration (after an eviction, from the write) to the first answer of the drilled cluster.", func(c v1alpha1.DrillClient) *float64 {
			if c.Return == nil {
				return nil
			}
			return c.Return.FirstAnswerMs
		}},
	} {
		m.Family("mesh_probe_drill_"+x.name, prometheus.Gauge, x.help)
		for _, c := range r.Clients {
			if v := x.value(c); v != nil {
				m.Sample(prometheus.Number(*v/1000), of(c)...)
			}
		}
	}
	drillCounts(m, r, of)
	m.Family("mesh_probe_drill_check_passed", prometheus.Gauge, "Whether the check passed: 1 if it did, 0 if it failed or is inconclusive.")
	for _, k := range r.Checks {
		m.Sample(prometheus.Truth(k.Result == "PASS"), labels("client", k.Client, "check", k.Expectation, "result", k.Result)...)
	}
	m.Family("mesh_probe_drill_complete", prometheus.Gauge, "Whether the drill was done and every request is accounted for: 1 if so, 0 if it was refused or ended early.")
	m.Sample(prometheus.Truth(r.Complete), labels()...)
	if r.With != evict && (r.State == "restored" || r.State == "notRestored") {
		m.Family("mesh_probe_drill_restored", prometheus.Gauge, "Whether the previous values are restored: 1 if so, else 0.")
		m.Sample(prometheus.Truth(r.State == "restored"), labels()...)
	}
	if r.WriteTime != nil {
		m.Family("mesh_probe_drill_write_timestamp_seconds", prometheus.Gauge, "When the first write that took backends away was sent, in seconds since 1970.")
		m.Sample(prometheus.Seconds(*r.WriteTime), labels()...)
	}
	_, err := w.Write(m.Bytes())
	return err
}

// drillCounts writes the requests of each phase, and the errors while the backends were away.
func drillCounts(m *prometheus.Metrics, r v1alpha1.DrillReport, of func(v1alpha1.DrillClient, ...string) []string) {
	m.Family("mesh_probe_drill_requests", prometheus.Gauge,
		"Requests by phase and by who answered; an empty server_cluster counts those that failed or whose sender is unknown.")
	for _, c := range r.Clients {
		for i, p := range []v1alpha1.DrillPhase{c.Before, c.During, c.After} {
			for _, name := range slices.Sorted(maps.Keys(p.Answers)) {
				m.Sample(strconv.Itoa(p.Answers[name]), of(c, "phase", drillPhaseNames[i], "server_cluster", name)...)
			}
			m.Sample(strconv.Itoa(p.Unknown+p.Errors), of(c, "phase", drillPhaseNames[i], "server_cluster", "")...)
		}
	}
	m.Family("mesh_probe_drill_errors", prometheus.Gauge, "Requests that failed while the backends were away, by class and by the cluster that sent the error.")
	for _, c := range r.Clients {
		for _, e := range c.Errors {
			m.Sample(strconv.Itoa(e.Count), of(c, "class", e.Class, "server_cluster", e.Cluster)...)
		}
	}
}
