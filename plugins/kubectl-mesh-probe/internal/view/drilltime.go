package view

import (
	"maps"
	"slices"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// drillTimelines shows the intervals of each client as lanes. Its marks are the write and the restoration.
func drillTimelines(r v1alpha1.DrillReport) []output.Section {
	if r.IntervalMs == nil || len(r.Intervals) == 0 || len(r.Clients) == 0 { // a drill that was refused has no clients
		return nil
	}
	var marks []v1alpha1.ProbeMark
	if r.WriteTime != nil {
		marks = append(marks, v1alpha1.ProbeMark{Time: *r.WriteTime, Text: "the write"})
	}
	if r.RestoreTime != nil {
		marks = append(marks, v1alpha1.ProbeMark{Time: *r.RestoreTime, Text: "the restoration"})
	}
	start, width := r.Intervals[0].StartTime, time.Duration(*r.IntervalMs*float64(time.Millisecond))
	out := []output.Section{{Title: timelineTitle(start, width), Text: MarkLegend(marks, start)}}
	for _, c := range r.Clients {
		if len(c.Intervals) > 0 {
			out = append(out, output.Section{Title: c.Name, Text: Lanes(drillClusters(r), c.Intervals, marks)})
		}
	}
	return out
}

// drillClusters are the clusters and values that answered any client: the members in their order, then the others by name.
func drillClusters(r v1alpha1.DrillReport) []string {
	answered := map[string]bool{}
	for _, i := range r.Intervals {
		for name := range i.Answers {
			answered[name] = true
		}
	}
	var out []string
	for _, m := range r.Members {
		if answered[m.Name] {
			out = append(out, m.Name)
			delete(answered, m.Name)
		}
	}
	return append(out, slices.Sorted(maps.Keys(answered))...)
}
