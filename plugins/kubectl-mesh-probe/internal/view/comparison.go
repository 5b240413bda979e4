package view

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

// Comparison returns what -o table prints of a comparison.
func Comparison(c v1alpha1.ProbeComparison) []output.Section {
	byURL := len(c.A.URLs)+len(c.B.URLs) > 0
	cells := func(url string, row ...string) []string {
		if !byURL {
			return row
		}
		return slices.Insert(row, 1, output.Clean(url))
	}
	t := output.NewTable(cells("URL", "FROM", "METRIC", "CLUSTER", "A", "B", "CHANGE", "CI", "+P", "RESULT", "REASON")...)
	for _, m := range c.Metrics {
		cluster := m.Cluster
		if cluster == "" {
			cluster = all
		}
		value, change := stats.Percent, points
		if m.Metric == "p50" || m.Metric == "p95" {
			value, change = func(v float64) string { return millis(&v) }, times
		}
		p := none
		if m.PValue != nil {
			p = strconv.FormatFloat(*m.PValue, 'g', 2, 64)
		}
		output.AddRow(t, cells(m.URL, m.Client, m.Metric, cluster, value(m.A), value(m.B), change(m.Change), change(m.ConfidenceInterval.Low)+" to "+change(m.ConfidenceInterval.High), p, m.Result, dash(m.Reason))...)
	}
	text := []string{
		fmt.Sprintf("A: %s, %d requests", c.A.File, c.A.Requests), fmt.Sprintf("B: %s, %d requests", c.B.File, c.B.Requests),
		fmt.Sprintf("%s, with a confidence of %s over all metrics", c.Result, stats.Percent(c.Confidence)),
	}
	return []output.Section{{Table: t}, {Text: text}}
}

// points is a difference in percentage points.
func points(v float64) string { return strconv.FormatFloat(100*v, 'f', 1, 64) + "pt" }

// times is a quotient.
func times(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) + "x" }
