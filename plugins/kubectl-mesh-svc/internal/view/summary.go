package view

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// longFrom is the minimum number of changes for a summary. Nobody reads a longer table.
const longFrom = 60

// namesShown is the number of Services that a row of a summary names. The rest is counted.
const namesShown = 3

// Long reports whether a plan is shown as a summary.
func Long(doc v1alpha1.ChangeReport) bool { return len(doc.Changes) >= longFrom }

// Counted reports whether Changes counts the results by kind. A client dry run shows each change: that is its purpose.
func Counted(doc v1alpha1.ChangeReport) bool {
	doc, _ = refused(doc)
	return Long(doc) && doc.DryRun != "client"
}

// refused returns the changes because of which a whole plan was refused, and a line that counts the others. It returns other documents unchanged.
// Without it, the reason would be hidden among hundreds of planned changes.
func refused(doc v1alpha1.ChangeReport) (v1alpha1.ChangeReport, []string) {
	var why []v1alpha1.Change
	planned := 0
	for _, c := range doc.Changes {
		switch c.Result {
		case v1alpha1.ResultRefused, v1alpha1.ResultFailed:
			why = append(why, c)
		case v1alpha1.ResultChanged, v1alpha1.ResultUnknown:
			return doc, nil
		case v1alpha1.ResultPlanned:
			if doc.DryRun != "none" && !strings.HasPrefix(c.Message, "not written") {
				return doc, nil
			}
			planned++
		}
	}
	if len(why) == 0 || planned == 0 {
		return doc, nil
	}
	doc.Changes = why
	if planned == 1 {
		return doc, []string{"1 other change was planned and is not written; -o wide and -o json show it"}
	}
	return doc, []string{fmt.Sprintf("%d other changes were planned and are not written; -o wide and -o json show them", planned)}
}

// tally counts equal rows, in the order in which they were added.
type tally struct {
	rows  [][]string
	names map[string][]string
}

func (t *tally) add(name string, row ...string) {
	id := strings.Join(row, "\x00")
	if t.names == nil {
		t.names = map[string][]string{}
	}
	if len(t.names[id]) == 0 {
		t.rows = append(t.rows, row)
	}
	t.names[id] = append(t.names[id], name)
}

// each calls fn for every row, with its count and the first names.
func (t *tally) each(fn func(row []string, count, names string)) {
	for _, row := range t.rows {
		names := t.names[strings.Join(row, "\x00")]
		fn(row, strconv.Itoa(len(names)), annotate.List(names, namesShown))
	}
}

func qualified(c v1alpha1.Change) string {
	return c.Namespace + "/" + strings.TrimPrefix(c.Object, "service/")
}

// PlanSummary shows the planned writes: one row for each cluster and kind of change.
func PlanSummary(doc v1alpha1.ChangeReport) []output.Section {
	servers := map[string]string{}
	for _, m := range doc.Members {
		servers[m.Name] = m.Server
	}
	var kinds tally
	planned := 0
	for _, c := range doc.Changes {
		if c.Result != v1alpha1.ResultPlanned {
			continue
		}
		planned++
		for _, k := range changedKeys(c) {
			kinds.add(qualified(c), c.Cluster, c.Context, servers[c.Cluster], k, show(c.Before[k]), show(c.After[k]))
		}
	}
	t := output.NewTable("CLUSTER", "CONTEXT", "SERVER", "ANNOTATION", "OLD", "NEW", "SERVICES", "NAMES")
	kinds.each(func(row []string, count, names string) { output.AddRow(t, append(row, count, names)...) })
	return []output.Section{{Title: fmt.Sprintf("Plan: %s, %s; -o wide shows each", doc.Action, Count(planned, "change")), Table: t}, {}}
}

// changesSummary shows failed changes one by one, and counts all others by result and by text.
func changesSummary(doc v1alpha1.ChangeReport, what func(v1alpha1.Change) string) []output.Section {
	var kinds tally
	failed := output.NewTable("CLUSTER", "NAMESPACE", "SERVICE", "RESULT", "CHANGE")
	done := map[string]bool{}
	for _, c := range doc.Changes {
		done[c.Cluster] = true
		switch c.Result {
		case v1alpha1.ResultFailed, v1alpha1.ResultUnknown:
			output.AddRow(failed, c.Cluster, c.Namespace, strings.TrimPrefix(c.Object, "service/"), c.Result, what(c))
		}
		kinds.add(qualified(c), c.Cluster, result(doc, c), what(c))
	}
	t := output.NewTable("CLUSTER", "RESULT", "SERVICES", "CHANGE", "NAMES")
	kinds.each(func(row []string, count, names string) { output.AddRow(t, row[0], row[1], count, row[2], names) })
	for _, m := range doc.Members {
		if m.Error != nil && !done[m.Name] {
			output.AddRow(t, m.Name, v1alpha1.ResultSkipped, "", m.Error.Class, "")
		}
	}
	sections := []output.Section{{Table: t}}
	if len(failed.Rows) > 0 {
		sections = append(sections, output.Section{Table: failed})
	}
	return sections
}
