package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// DrillPlan shows what a drill or a repair is about to write, and what that does to the clients.
func DrillPlan(r v1alpha1.DrillReport) []output.Section {
	title := "Plan: restore"
	if r.Cluster != "" {
		title = fmt.Sprintf("Plan: drill %s in %s with %s", r.Service, r.Cluster, r.With)
		if r.WriteTime == nil && r.HoldMs == nil {
			title = fmt.Sprintf("Plan: restore %s in %s", r.Service, r.Cluster)
		}
		for _, m := range r.Members {
			if m.Name == r.Cluster && m.Context != "" {
				title += fmt.Sprintf(" (context %s, %s)", m.Context, m.Server)
			}
		}
	}
	out := []output.Section{{Title: title, Table: drillChanges(r, true)}}
	if s, ok := drillShifts(r); ok {
		out = append(out, s)
	}
	return append(out, output.Section{})
}

// Drill shows the result of a drill or of a repair: what the clients saw, then the checks, then what was changed.
// -o wide (wide) adds the timeline of each client and latencies.
func Drill(r v1alpha1.DrillReport, wide bool) []output.Section {
	var out []output.Section
	if len(r.Clients) > 0 && r.WriteTime != nil {
		out = append(out, drillClients(r), drillPhases(r))
	}
	if s, ok := drillErrors(r); ok {
		out = append(out, s)
	}
	if wide {
		out = append(out, drillTimelines(r)...)
	}
	if len(r.Checks) > 0 {
		t := output.NewTable("CHECK", "FROM", "RESULT", "OBSERVED", "REASON")
		for _, c := range r.Checks {
			output.AddRow(t, c.Expectation, c.Client, c.Result, dash(c.Observed), dash(c.Reason))
		}
		out = append(out, output.Section{Table: t})
	}
	if r.State == "planned" {
		if s, ok := drillShifts(r); ok {
			out = append(out, s)
		}
	}
	if len(r.Changes) > 0 {
		out = append(out, output.Section{Table: drillChanges(r, false)})
	}
	if lines := drillSource(r); len(lines) > 0 {
		out = append(out, output.Section{Text: lines})
	}
	return out
}

// drillChanges has one row for each object. A plan has no results.
func drillChanges(r v1alpha1.DrillReport, plan bool) *metav1.Table {
	columns := []string{"CLUSTER", "OBJECT", "FIELD", "OLD", "NEW"}
	if !plan {
		columns = append(columns, "RESULT")
	}
	t := output.NewTable(columns...)
	for _, c := range r.Changes {
		field, before, after := c.Field, drillValue(c.Before), drillValue(c.After)
		if field == "" { // a pod
			field, before, after = none, none, "evicted"
		}
		cells := []string{c.Cluster, c.Object, field, before, after}
		if !plan {
			result := c.Result
			if c.Message != "" {
				result += ": " + c.Message
			}
			cells = append(cells, result)
		}
		output.AddRow(t, cells...)
	}
	return t
}

func drillValue(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return *v
}

// drillShifts shows how the shares change while the backends are away.
func drillShifts(r v1alpha1.DrillReport) (output.Section, bool) {
	t := output.NewTable("CLIENTS-IN", "PORT", strings.ToUpper(r.Cluster), "OTHERS")
	for _, s := range r.Shifts {
		own, others := "unchanged", []string{}
		for _, sh := range s.Shares {
			if sh.Before == sh.After {
				continue
			}
			arrow := stats.Percent(sh.Before) + " -> " + stats.Percent(sh.After)
			if sh.Cluster == r.Cluster {
				own = arrow
			} else {
				others = append(others, sh.Cluster+" "+arrow)
			}
		}
		if !s.Complete {
			others = append(others, "(not certain: a cluster was not read, or kubectl mesh-svc describe names a caveat)")
		}
		port := strconv.Itoa(int(s.Port.Port))
		if s.IPFamily == "IPv6" {
			port += " IPv6"
		}
		output.AddRow(t, s.Client, port, own, dash(strings.Join(others, ", ")))
	}
	return output.Section{Title: "Predicted shift of new connections", Table: t}, len(t.Rows) > 0
}

// drillClients shows the moments of the drill for each client. Times count from the write, and BACK from the moment of the restoration.
func drillClients(r v1alpha1.DrillReport) output.Section {
	t := output.NewTable("CLIENT", "FAILOVER", "ERRORS", "LAST "+strings.ToUpper(r.Cluster), "FIRST OTHER", "MOVED", "BACK")
	for _, c := range r.Clients {
		failover := drillTime(c.FailoverMs)
		if c.Recovered != nil && !*c.Recovered {
			failover = "over " + failover
		}
		other := drillTime(c.FirstOtherMs)
		if c.FirstOtherCluster != "" {
			other = c.FirstOtherCluster + " " + other
		}
		moved, back := none, none
		if c.Affected {
			moved = drillTime(c.FollowedMs)
			if c.Return != nil {
				back = drillTime(c.Return.FirstAnswerMs)
			}
		}
		output.AddRow(t, c.Name, failover, strconv.Itoa(c.During.Errors), drillTime(c.LastAnswerMs), other, moved, back)
	}
	return output.Section{Table: t}
}

// drillPhaseNames are the phases of a drill, in their order.
var drillPhaseNames = []string{"before", "during", "after"}

// drillPhases shows who answered before, during and after the drill.
func drillPhases(r v1alpha1.DrillReport) output.Section {
	var clusters []string
	unknowns := false
	phases := func(c v1alpha1.DrillClient) []v1alpha1.DrillPhase {
		return []v1alpha1.DrillPhase{c.Before, c.During, c.After}
	}
	for _, c := range r.Clients {
		for _, p := range phases(c) {
			unknowns = unknowns || p.Unknown > 0
			for _, name := range slices.Sorted(maps.Keys(p.Answers)) {
				if !slices.Contains(clusters, name) {
					clusters = append(clusters, name)
				}
			}
		}
	}
	head := append([]string{"CLIENT", "PHASE", "REQUESTS"}, clusters...)
	if unknowns {
		head = append(head, strings.ToUpper(unknown))
	}
	t := output.NewTable(append(head, "ERRORS", "+P50", "+P95", "+P99")...)
	for _, c := range r.Clients {
		for i, p := range phases(c) {
			cells := []string{c.Name, drillPhaseNames[i], strconv.Itoa(p.Requests)}
			for _, name := range clusters {
				cells = append(cells, strconv.Itoa(p.Answers[name]))
			}
			if unknowns {
				cells = append(cells, strconv.Itoa(p.Unknown))
			}
			p50, p95, p99 := none, none, none
			if l := p.LatencyMs; l != nil {
				p50, p95, p99 = millis(l.P50), millis(l.P95), millis(l.P99)
			}
			output.AddRow(t, append(cells, strconv.Itoa(p.Errors), p50, p95, p99)...)
		}
	}
	return output.Section{Table: t}
}

// drillErrors has one row for each class of errors of each client. Its times count from the write.
func drillErrors(r v1alpha1.DrillReport) (output.Section, bool) {
	t := output.NewTable("CLIENT", "ERROR", "COUNT", "CLUSTER", "FIRST", "LAST", "+MESSAGE")
	for _, c := range r.Clients {
		for _, e := range c.Errors {
			output.AddRow(t, c.Name, e.Class, strconv.Itoa(e.Count), failing(e), drillMoment(r, e.FirstTime), drillMoment(r, e.LastTime), dash(e.Message))
		}
	}
	return output.Section{Table: t}, len(t.Rows) > 0
}

// drillMoment is a moment as the time from the write. A request may have started before the write and failed after it.
func drillMoment(r v1alpha1.DrillReport, at *time.Time) string {
	if at == nil || r.WriteTime == nil {
		return none
	}
	ms := float64(at.Sub(*r.WriteTime)) / float64(time.Millisecond)
	return drillTime(&ms)
}

// drillClock is how a moment of a drill is shown.
const drillClock = "15:04:05.000Z07:00"

// drillSource says how the numbers were measured, and what the state is now.
func drillSource(r v1alpha1.DrillReport) []string {
	var out []string
	if r.WriteTime != nil {
		out = append(out, "times count from the write at "+r.WriteTime.Format(drillClock))
		if r.RestoreTime != nil {
			out = append(out, "BACK counts from the restoration at "+r.RestoreTime.Format(drillClock))
		}
	}
	if p := r.Propagation; p != nil {
		out = append(out, "clients moved: "+drillPropagation(*p))
	}
	if p := r.ReturnPropagation; p != nil && p.Clients+p.Missing > 0 {
		out = append(out, "clients came back: "+drillPropagation(*p))
	}
	resolution := 0.0
	for _, c := range r.Clients {
		if c.ResolutionMs != nil {
			resolution = max(resolution, *c.ResolutionMs)
		}
		if !c.Complete {
			out = append(out, fmt.Sprintf("%s: NOT COMPLETE: %s", c.Name, c.Reason))
		}
	}
	if resolution > 0 {
		out = append(out, "FAILOVER is the longest time without a successful answer, exact to "+drillTime(&resolution))
	}
	switch {
	case r.State == "restored" && r.Reason == "" && onlyEvictions(r):
		out = append(out, "The drill does not replace evicted pods: their controller does.")
	case r.State == "restored" && r.Reason == "" && len(r.Changes) > 0:
		out = append(out, "The previous values are restored.")
	case r.State == "restored" && len(r.Changes) == 0:
		out = append(out, r.Reason)
	case r.RepairCommand != "" && onlyEvictions(r):
		out = append(out, "The record of the drill is NOT deleted. Run: "+r.RepairCommand)
	case r.RepairCommand != "":
		out = append(out, "The previous values are NOT restored. Run: "+r.RepairCommand)
	}
	return out
}

// onlyEvictions reports whether all changes are evictions of pods, which have no previous value that a drill could restore.
func onlyEvictions(r v1alpha1.DrillReport) bool {
	return len(r.Changes) > 0 && !slices.ContainsFunc(r.Changes, func(c v1alpha1.DrillChange) bool { return c.Field != "" })
}

func drillPropagation(p v1alpha1.DrillPropagation) string {
	var parts []string
	if p.FirstMs != nil {
		parts = append(parts, fmt.Sprintf("first %s after %s", p.FirstClient, drillTime(p.FirstMs)), fmt.Sprintf("last %s after %s", p.LastClient, drillTime(p.LastMs)))
	}
	if p.Missing > 0 {
		parts = append(parts, fmt.Sprintf("%d did not", p.Missing))
	}
	return strings.Join(parts, ", ")
}

// drillTime shows milliseconds as a duration.
func drillTime(ms *float64) string {
	if ms == nil {
		return none
	}
	d := time.Duration(*ms * float64(time.Millisecond))
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
