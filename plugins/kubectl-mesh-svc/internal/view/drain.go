package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// manyRows is the maximum number of rows in the table of a plan without -o wide.
const manyRows = 20

// DrainPlan shows the planned writes and their effect on the traffic.
func DrainPlan(doc v1alpha1.DrainReport, all bool) []output.Section {
	title := "Plan: " + doc.Action
	for _, m := range doc.Members {
		if m.Name == doc.Cluster {
			title += fmt.Sprintf(" (context %s, %s)", m.Context, m.Server)
		}
	}
	t := drainRows(doc)
	if Long(doc.ChangeReport) && !all {
		t = drainKinds(doc)
		title += "; -o wide shows each Service"
	}
	sections := append([]output.Section{{Title: title, Table: t}}, left(doc, all)...)
	return append(append(sections, Shifts(doc, all)...), output.Section{})
}

// drainRows returns one row for each Service.
func drainRows(doc v1alpha1.DrainReport) *metav1.Table {
	t := output.NewTable("NAMESPACE", "SERVICE", "ANNOTATION", "OLD", "NEW")
	k := cilium.AnnotationShared
	for _, c := range doc.Changes {
		if c.Result == v1alpha1.ResultPlanned {
			output.AddRow(t, c.Namespace, serviceOf(c), k, show(c.Before[k]), show(c.After[k]))
		}
	}
	return t
}

// drainKinds returns one row for each kind of change, with the number of Services and the first names.
func drainKinds(doc v1alpha1.DrainReport) *metav1.Table {
	var kinds tally
	k := cilium.AnnotationShared
	for _, c := range doc.Changes {
		if c.Result == v1alpha1.ResultPlanned {
			kinds.add(qualified(c), k, show(c.Before[k]), show(c.After[k]))
		}
	}
	t := output.NewTable("ANNOTATION", "OLD", "NEW", "SERVICES", "NAMES")
	kinds.each(func(row []string, count, names string) { output.AddRow(t, append(row, count, names)...) })
	return t
}

// left shows the Services that the plan does not change, and why. The user needs this to confirm the plan.
func left(doc v1alpha1.DrainReport, all bool) []output.Section {
	t := output.NewTable("NAMESPACE", "SERVICE", "WHY")
	var kinds tally
	for _, c := range doc.Changes {
		if c.Message != "" && slices.Contains([]string{v1alpha1.ResultRefused, v1alpha1.ResultFailed, v1alpha1.ResultSkipped}, c.Result) {
			output.AddRow(t, c.Namespace, serviceOf(c), c.Message)
			kinds.add(qualified(c), c.Message)
		}
	}
	if len(t.Rows) > manyRows && !all {
		t = output.NewTable("SERVICES", "WHY", "NAMES")
		kinds.each(func(row []string, count, names string) { output.AddRow(t, count, row[0], names) })
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []output.Section{{Title: "Left unchanged", Table: t}}
}

// Drain shows the result for each Service. If a plan was refused, it shows only the reasons. A dry run begins with the effect on the traffic.
func Drain(doc v1alpha1.DrainReport, all bool) []output.Section {
	var others []string
	if !all {
		doc.ChangeReport, others = refused(doc.ChangeReport)
	}
	t := output.NewTable("CLUSTER", "NAMESPACE", "SERVICE", "RESULT", "CHANGE")
	for _, c := range doc.Changes {
		output.AddRow(t, c.Cluster, c.Namespace, serviceOf(c), result(doc.ChangeReport, c), drainChange(c))
	}
	results := []output.Section{{Table: t}}
	if Counted(doc.ChangeReport) && !all {
		results = changesSummary(drainedOnly(doc), drainChange)
	}
	results[len(results)-1].Text = others
	var sections []output.Section
	if doc.DryRun != "none" && len(others) == 0 {
		sections = Shifts(doc, all)
	}
	return append(sections, results...)
}

// drainedOnly keeps only the member that is drained. A drain does not write Services in the other members, so they are not skipped either.
func drainedOnly(doc v1alpha1.DrainReport) v1alpha1.ChangeReport {
	out := doc.ChangeReport
	out.Members = slices.DeleteFunc(slices.Clone(out.Members), func(m v1alpha1.Member) bool { return m.Name != doc.Cluster })
	return out
}

func serviceOf(c v1alpha1.Change) string { return strings.TrimPrefix(c.Object, "service/") }

// drainChange shows the change of the shared annotation. The annotation of the drain itself is not shown.
func drainChange(c v1alpha1.Change) string {
	k := cilium.AnnotationShared
	switch {
	case c.Message != "":
		return c.Message
	case c.Result == v1alpha1.ResultUnchanged:
		return "already has its previous value"
	case show(c.Before[k]) == show(c.After[k]):
		return "only the annotation of the drain is removed"
	}
	return fmt.Sprintf("%s: %s -> %s", k, show(c.Before[k]), show(c.After[k]))
}

func more(n int, all bool) []string {
	if n <= manyRows || all {
		return nil
	}
	return []string{fmt.Sprintf("... and %d more; -o wide shows all", n-manyRows)}
}

// Shifts shows how the shares change for clients of the other clusters: first by client cluster, then for each Service.
func Shifts(doc v1alpha1.DrainReport, all bool) []output.Section {
	if len(doc.Shifts) == 0 {
		return []output.Section{{Title: "Predicted shift of new connections: none"}}
	}
	// The Service with the largest shift comes first; its rows are in the order of the members.
	most := map[string]float64{}
	for _, s := range doc.Shifts {
		most[shifted(s)] = max(most[shifted(s)], moved(s, doc.Cluster))
	}
	rows := slices.Clone(doc.Shifts)
	slices.SortStableFunc(rows, func(a, b v1alpha1.Shift) int { return cmp.Compare(most[shifted(b)], most[shifted(a)]) })
	t := output.NewTable("NAMESPACE", "SERVICE", "CLIENTS-IN", "PORT", strings.ToUpper(doc.Cluster), "OTHERS")
	for n, s := range rows {
		if n >= manyRows && !all {
			break
		}
		own, others := "unchanged", []string{}
		for _, sh := range s.Shares {
			arrow := Percent(sh.Before) + " -> " + Percent(sh.After)
			if sh.Cluster == doc.Cluster {
				own = arrow
			} else {
				others = append(others, sh.Cluster+" "+arrow)
			}
		}
		client := s.Client
		if len(s.Versions) > 0 {
			client += " if Cilium " + strings.Join(s.Versions, ", ")
		}
		if !s.Complete {
			others = append(others, "(not certain: a cluster could not be read, or describe names a caveat)")
		}
		if len(others) == 0 {
			others = []string{"nobody"}
		}
		output.AddRow(t, s.Namespace, s.Name, client, portName(s.Port)+family(s), own, strings.Join(others, ", "))
	}
	sections := []output.Section{{Title: "Predicted shift of new connections", Table: t, Text: more(len(rows), all)}}
	if len(rows) > manyRows {
		sections = append([]output.Section{summary(doc)}, sections...)
	}
	return sections
}

func family(s v1alpha1.Shift) string {
	if s.IPFamily == "IPv6" {
		return " IPv6"
	}
	return ""
}

func shifted(s v1alpha1.Shift) string { return s.Namespace + "/" + s.Name }

// moved returns how much of the drained cluster's share a shift moves.
func moved(s v1alpha1.Shift, cluster string) float64 {
	for _, sh := range s.Shares {
		if sh.Cluster == cluster {
			return max(sh.Before-sh.After, sh.After-sh.Before)
		}
	}
	return 0
}

// summary aggregates the shifts of many Services: for the clients of each cluster, the number of Services and the average share.
func summary(doc v1alpha1.DrainReport) output.Section {
	type sum struct {
		services      map[string]bool
		ports         int
		before, after float64
	}
	sums := map[string]*sum{}
	for _, s := range doc.Shifts {
		c := sums[s.Client]
		if c == nil {
			c = &sum{services: map[string]bool{}}
			sums[s.Client] = c
		}
		c.services[shifted(s)] = true
		c.ports++
		for _, sh := range s.Shares {
			if sh.Cluster == doc.Cluster {
				c.before += sh.Before
				c.after += sh.After
			}
		}
	}
	t := output.NewTable("CLIENTS-IN", "SERVICES", "AVERAGE SHARE OF "+strings.ToUpper(doc.Cluster))
	for _, m := range doc.Members {
		c := sums[m.Name]
		if c == nil {
			continue
		}
		output.AddRow(t, m.Name, strconv.Itoa(len(c.services)), Percent(c.before/float64(c.ports))+" -> "+Percent(c.after/float64(c.ports)))
	}
	return output.Section{Title: "Predicted shift of new connections, by client cluster", Table: t}
}
