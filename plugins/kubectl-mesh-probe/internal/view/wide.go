package view

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// connects shows how long it took to connect. Without these times there is nothing to show.
func connects(r v1alpha1.ProbeReport) []output.Section {
	t := output.NewTable(withURL(r, 1, "URL", "FROM", "CLUSTER", "N", "MIN", "P50", "P95", "P99", "MAX")...)
	add := func(c v1alpha1.ProbeClient, name string, l *v1alpha1.ProbeLatency) {
		if l != nil {
			output.AddRow(t, withURL(r, 1, c.URL, c.Name, name, strconv.Itoa(l.Count), millis(&l.Min), millis(l.P50), millis(l.P95), millis(l.P99), millis(&l.Max))...)
		}
	}
	for _, c := range r.Clients {
		for _, a := range c.Answers {
			add(c, quoted(a), a.ConnectMs)
		}
		add(c, all, c.ConnectMs)
	}
	if len(t.Rows) == 0 {
		return nil
	}
	return []output.Section{{Title: "Time to connect, with the DNS look-up", Table: t}}
}

// barWidth is how long the longest bar of a histogram is.
const barWidth = 40

// histograms shows the latency over all answers of each client, as bars.
func histograms(r v1alpha1.ProbeReport) []output.Section {
	var out []output.Section
	for _, c := range r.Clients {
		if c.LatencyMs == nil {
			continue
		}
		most, size := 1, 0
		for _, b := range c.LatencyMs.Histogram {
			most, size = max(most, b.Count), max(size, len(limit(b.UpperBoundMs)))
		}
		var lines []string
		for _, b := range c.LatencyMs.Histogram {
			bar := strings.Repeat("█", b.Count*barWidth/most)
			if bar == "" {
				bar = "▏"
			}
			lines = append(lines, fmt.Sprintf("<= %*s ms  %-*s  %d", size, limit(b.UpperBoundMs), barWidth, bar, b.Count))
		}
		out = append(out, output.Section{Title: "Latency of all answers to " + from(c), Text: lines})
	}
	return out
}

// limit is the upper end of a bucket.
func limit(ms float64) string { return strconv.FormatFloat(ms, 'f', -1, 64) }
