package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// eventful reports whether the timeline of a run shows more than its table.
func eventful(r v1alpha1.ProbeReport) bool {
	return len(r.Marks) > 0 || slices.ContainsFunc(r.Intervals, func(i v1alpha1.ProbeTimeInterval) bool { return i.Errors > 0 })
}

// timeline shows one lane for each cluster and one for errors. A cell is an interval.
func timeline(r v1alpha1.ProbeReport) []output.Section {
	if len(r.Intervals) == 0 || r.IntervalMs == nil {
		return nil
	}
	start := r.Intervals[0].StartTime
	width := time.Duration(*r.IntervalMs * float64(time.Millisecond))
	lines := Lanes(Answerers(r), r.Intervals, r.Marks)
	if of := urls(r); len(of) > 0 {
		parts := make([][]v1alpha1.ProbeTimeInterval, len(of))
		for i, url := range of {
			parts[i] = intervalsOf(r, url)
		}
		lines = LanesByURL(Answerers(r), of, parts, r.Marks)
	}
	lines = append(lines, MarkLegend(r.Marks, start)...)
	return []output.Section{{Title: timelineTitle(start, width), Text: append(lines, gaps(r)...)}}
}

func timelineTitle(start time.Time, width time.Duration) string {
	return fmt.Sprintf("Timeline from %s UTC, %s for each character", start.UTC().Format("15:04:05.000"), width)
}

// MarkLegend explains the marks of the lanes, one line for each.
func MarkLegend(marks []v1alpha1.ProbeMark, start time.Time) []string {
	var out []string
	for i, m := range marks {
		line := fmt.Sprintf("%c %s %s", markRune(i), offset(m.Time.Sub(start)), output.Clean(m.Text))
		switch {
		case m.EndTime != nil && m.ExitCode != nil:
			line += fmt.Sprintf(" (exit code %d at %s)", *m.ExitCode, offset(m.EndTime.Sub(start)))
		case m.Command != "":
			line += " (not ended)"
		}
		out = append(out, line)
	}
	return out
}

// markRune is how a mark is shown: 1 to 9, and + for those after them.
func markRune(i int) rune {
	if i < 9 {
		return rune('1' + i)
	}
	return '+'
}

// markNumber is the number of the mark to which an outage refers, as MarkLegend shows it.
func markNumber(r v1alpha1.ProbeReport, o v1alpha1.ProbeOutage) int {
	return 1 + slices.IndexFunc(r.Marks, func(m v1alpha1.ProbeMark) bool { return m.Time.Equal(o.Time) && m.Text == o.Mark })
}

// gaps describes what each client saw after each mark.
func gaps(r v1alpha1.ProbeReport) []string {
	var out []string
	for _, c := range r.Clients {
		for _, o := range c.Outages {
			line := fmt.Sprintf("%s, mark %d: %.2fs ±%.2fs without a successful answer", from(c), markNumber(r, o), o.GapMs/1000, o.ResolutionMs/1000)
			if !o.Recovered {
				line += ", until the end of the run"
			}
			out = append(out, line+fmt.Sprintf("; %d of %d requests failed", o.Failed, o.Requests))
			if o.LastAnswerTime == nil {
				continue
			}
			line = fmt.Sprintf("  last answer from %s at %s", shortName(o.Cluster), since(r, o.LastAnswerTime))
			if o.FirstAnswerTime != nil {
				line += fmt.Sprintf("; first one after the mark from %s at %s", shortName(o.ToCluster), since(r, o.FirstAnswerTime))
			}
			out = append(out, line)
		}
	}
	return out
}

// lane is one line of a timeline.
type lane struct {
	name  string
	count func(v1alpha1.ProbeTimeInterval) int
}

// Lanes draws intervals as text: one line for each cluster, and lines for unknown senders and errors if there are any. A full block is an
// interval in which the cluster answered all requests, a dot one in which it answered none, and a blank one without requests. Marks have a line
// of their own.
func Lanes(clusters []string, intervals []v1alpha1.ProbeTimeInterval, marks []v1alpha1.ProbeMark) []string {
	lanes := lanesOf(clusters, intervals)
	return draw(lanes, intervals, marks, longestLabel(lanes, marks))
}

// LanesByURL draws the intervals of several URLs below one another. The same column is the same time.
func LanesByURL(clusters, urls []string, parts [][]v1alpha1.ProbeTimeInterval, marks []v1alpha1.ProbeMark) []string {
	longest := 0
	for _, intervals := range parts {
		longest = max(longest, longestLabel(lanesOf(clusters, intervals), marks))
	}
	var out []string
	for i, url := range urls {
		out = append(out, output.Clean(url))
		out = append(out, draw(lanesOf(clusters, parts[i]), parts[i], marks, longest)...)
	}
	return out
}

func lanesOf(clusters []string, intervals []v1alpha1.ProbeTimeInterval) []lane {
	var unknowns, errors bool
	for _, i := range intervals {
		unknowns = unknowns || i.Unknown > 0
		errors = errors || i.Errors > 0
	}
	var lanes []lane
	for _, name := range clusters {
		lanes = append(lanes, lane{shortName(name), func(i v1alpha1.ProbeTimeInterval) int { return i.Answers[name] }})
	}
	if unknowns {
		lanes = append(lanes, lane{unknown, func(i v1alpha1.ProbeTimeInterval) int { return i.Unknown }})
	}
	if errors {
		lanes = append(lanes, lane{"errors", func(i v1alpha1.ProbeTimeInterval) int { return i.Errors }})
	}
	return lanes
}

func longestLabel(lanes []lane, marks []v1alpha1.ProbeMark) int {
	longest := 0
	if len(marks) > 0 {
		longest = len("marks")
	}
	for _, l := range lanes {
		longest = max(longest, utf8.RuneCountInString(l.name))
	}
	return longest
}

func draw(lanes []lane, intervals []v1alpha1.ProbeTimeInterval, marks []v1alpha1.ProbeMark, longest int) []string {
	var out []string
	for _, l := range lanes {
		var cells strings.Builder
		for _, i := range intervals {
			cells.WriteRune(block(l.count(i), i.Requests))
		}
		out = append(out, label(l.name, longest)+cells.String()+"|")
	}
	if cells := markCells(intervals, marks); strings.TrimSpace(cells) != "" {
		out = append(out, label("marks", longest)+cells+"|")
	}
	return out
}

// label is the beginning of a lane.
func label(name string, longest int) string {
	return name + strings.Repeat(" ", max(0, longest-utf8.RuneCountInString(name))) + "  |"
}

// markCells has the number of a mark in the interval in which it is, the first one if there are several.
func markCells(intervals []v1alpha1.ProbeTimeInterval, marks []v1alpha1.ProbeMark) string {
	cells := []rune(strings.Repeat(" ", len(intervals)))
	for n, m := range marks {
		at := -1
		for i := range intervals {
			if !m.Time.Before(intervals[i].StartTime) {
				at = i
			}
		}
		if at >= 0 && cells[at] == ' ' {
			cells[at] = markRune(n)
		}
	}
	return string(cells)
}

func shortName(name string) string {
	const most = 15
	name = output.Clean(name)
	if r := []rune(name); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return name
}

// block is the part of the requests as a character. Few are never shown as none, and most never as all.
func block(part, of int) rune {
	levels := []rune("▁▂▃▄▅▆▇█")
	switch {
	case of == 0:
		return ' '
	case part == 0:
		return '.'
	case part >= of:
		return '█'
	}
	return levels[min(part*len(levels)/of, len(levels)-2)]
}
