package cmd

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// defaultHeight is the height of a terminal that does not report it.
const defaultHeight = 24

// screen redraws some lines in place. It writes a frame at once and erases only what the new one does not cover, so that nothing flickers.
type screen struct {
	out   io.Writer
	drawn []string
}

// draw replaces the lines.
func (s *screen) draw(frame func(columns, rows int) []string) {
	columns, ok := output.TerminalWidth(s.out)
	if !ok {
		columns = defaultWidth
	}
	rows, ok := output.TerminalHeight(s.out)
	if !ok {
		rows = defaultHeight
	}
	lines := frame(columns, rows)
	_, _ = s.out.Write(redraw(s.drawn, lines, columns))
	s.drawn = lines
}

// clear removes the lines. The next frame begins where they began.
func (s *screen) clear() {
	columns, ok := output.TerminalWidth(s.out)
	if !ok {
		columns = defaultWidth
	}
	_, _ = s.out.Write(redraw(s.drawn, nil, columns))
	s.drawn = nil
}

// redraw is what a terminal needs to replace the lines that were drawn. A terminal that is narrower now has wrapped them.
func redraw(drawn, lines []string, columns int) []byte {
	var out bytes.Buffer
	up := 0
	for _, line := range drawn {
		up += 1 + max(0, utf8.RuneCountInString(line)-1)/columns
	}
	if up > 0 {
		fmt.Fprintf(&out, "\x1b[%dA\r", up)
	}
	for _, line := range lines {
		out.WriteString(output.Clean(line) + "\x1b[K\n")
	}
	if up > 0 {
		out.WriteString("\x1b[J")
	}
	return out.Bytes()
}

// watchFrame is the timeline of a run in fewer columns than the terminal has, because a line that wraps cannot be redrawn, and in fewer rows.
func watchFrame(p probe.Progress, columns, rows int) []string {
	head := progressLine(p, columns)
	if len(p.Intervals) == 0 {
		return []string{head}
	}
	names := make([]string, 0, len(p.Answers))
	for _, a := range p.Answers {
		names = append(names, a.Cluster)
	}
	const label, frame = 12, 4 // of a lane, and the lines and blanks around its cells
	cells := max(1, min(len(p.Intervals), columns-1-label-frame-2))
	shown := p.Intervals[len(p.Intervals)-cells:]
	lanes := view.Lanes(names, shown, p.Marks)
	if len(p.ByURL) > 0 {
		lanes = view.LanesByURL(names, p.URLs, lastOf(p.ByURL, shown[0].StartTime), p.Marks)
	}
	out := append([]string{head}, lanes...)
	out = append(out, latencyLine(shown))
	out = append(out, fmt.Sprintf("%s for each character, from %s UTC", p.Width, shown[0].StartTime.UTC().Format("15:04:05.0")))
	out = append(out, view.MarkLegend(p.Marks, p.Begun)...)
	out = slices.DeleteFunc(out, func(line string) bool { return line == "" })
	for i, line := range out {
		if r := []rune(line); len(r) >= columns {
			out[i] = string(r[:max(0, columns-1)])
		}
	}
	if extra := len(out) - max(2, rows-1); extra > 0 {
		out = slices.Delete(out, 1, 1+extra) // the first lanes; the errors are below
	}
	return out
}

// lastOf returns the intervals of each URL from a moment on.
func lastOf(byURL [][]v1alpha1.ProbeTimeInterval, from time.Time) [][]v1alpha1.ProbeTimeInterval {
	out := make([][]v1alpha1.ProbeTimeInterval, len(byURL))
	for n, all := range byURL {
		for _, i := range all {
			if !i.StartTime.Before(from) {
				out[n] = append(out[n], i)
			}
		}
	}
	return out
}

// latencyLine is the latency of the last interval with an answer, and the maximum of all that are shown.
func latencyLine(shown []v1alpha1.ProbeTimeInterval) string {
	median, most := 0.0, 0.0
	for _, i := range shown {
		if i.MedianMs != nil {
			median, most = *i.MedianMs, max(most, *i.MaxMs)
		}
	}
	if most == 0 {
		return ""
	}
	return fmt.Sprintf("latency: median %s now, maximum %s", milliseconds(median), milliseconds(most))
}

// plainLines prints one line for each interval that is over, for logs.
type plainLines struct {
	out     io.Writer
	printed time.Time // the start of the last interval that was printed
}

func (l *plainLines) print(p probe.Progress, last bool) {
	for n, i := range p.Intervals {
		over := n < len(p.Intervals)-1 || last
		if !over || !i.StartTime.After(l.printed) || last && i.Requests == 0 {
			continue
		}
		l.printed = i.StartTime
		if len(p.ByURL) == 0 {
			output.Say(l.out, "%s", intervalLine(p, "", i))
		}
		for n, url := range p.ByURL {
			for _, of := range url {
				if of.StartTime.Equal(i.StartTime) {
					output.Say(l.out, "%s", intervalLine(p, p.URLs[n], of))
				}
			}
		}
	}
}

// intervalLine shows an interval, and its URL if there are several.
func intervalLine(p probe.Progress, url string, i v1alpha1.ProbeTimeInterval) string {
	parts := []string{i.StartTime.UTC().Format("15:04:05.0")}
	if url != "" {
		parts = append(parts, output.Clean(url))
	}
	parts = append(parts, fmt.Sprintf("requests %d", i.Requests))
	for _, a := range p.Answers {
		share := "-"
		if i.Requests > 0 {
			share = fmt.Sprintf("%.0f%%", 100*float64(i.Answers[a.Cluster])/float64(i.Requests))
		}
		parts = append(parts, a.Cluster+" "+share)
	}
	if i.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("unknown %d", i.Unknown))
	}
	parts = append(parts, fmt.Sprintf("errors %d", i.Errors))
	if i.MedianMs != nil {
		parts = append(parts, "median "+milliseconds(*i.MedianMs), "max "+milliseconds(*i.MaxMs))
	}
	for _, m := range p.Marks {
		if !m.Time.Before(i.StartTime) && m.Time.Before(i.StartTime.Add(p.Width)) {
			parts = append(parts, "mark: "+m.Text)
		}
	}
	return strings.Join(parts, "  ")
}

// milliseconds is a latency for people.
func milliseconds(ms float64) string { return fmt.Sprintf("%.1fms", ms) }
