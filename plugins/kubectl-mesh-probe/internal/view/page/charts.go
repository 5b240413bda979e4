package page

import (
	"fmt"
	"math"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// rect is a rectangle of a chart.
type rect struct {
	X, Y, W, H float64
	Class      string
	Title      string
}

// timeline is the chart of requests over time, one column for each interval. Its height is 100.
type timeline struct {
	Columns         int
	Rects           []rect
	Latency         []rect // the medians, and the maxima behind them
	LatencyMax      string
	Marks           []mark
	Start, Mid, End string
	Each            string
	Most            int // requests in the fullest interval
}

// mark is a line in the chart, and its legend.
type mark struct {
	X      float64
	Number int
	Text   string
}

// newTimeline returns the chart of intervals. It is nil without any.
func newTimeline(r v1alpha1.ProbeReport, intervals []v1alpha1.ProbeTimeInterval, classes map[string]string) *timeline {
	if len(intervals) == 0 || r.IntervalMs == nil {
		return nil
	}
	width := time.Duration(*r.IntervalMs * float64(time.Millisecond))
	start := intervals[0].StartTime
	t := &timeline{Columns: len(intervals), Each: width.String(), Start: start.UTC().Format("15:04:05.0")}
	length := width * time.Duration(len(intervals))
	t.Mid, t.End = "+"+(length/2).String(), "+"+length.String()
	slowest := 0.0
	for _, i := range intervals {
		t.Most = max(t.Most, i.Requests)
		if i.MaxMs != nil {
			slowest = max(slowest, *i.MaxMs)
		}
	}
	names := view.Answerers(r)
	for n, i := range intervals {
		t.column(n, i, names, classes)
		if i.MaxMs != nil {
			t.Latency = append(t.Latency, lower(n, *i.MaxMs/slowest, "most", fmt.Sprintf("maximum %.1f ms", *i.MaxMs)), lower(n, *i.MedianMs/slowest, "median", fmt.Sprintf("median %.1f ms", *i.MedianMs)))
		}
	}
	if slowest > 0 {
		t.LatencyMax = millis(&slowest)
	}
	for n, m := range r.Marks {
		t.Marks = append(t.Marks, mark{X: math.Min(float64(m.Time.Sub(start))/float64(width), float64(len(intervals))), Number: n + 1, Text: markText(m, start)})
	}
	return t
}

// lower is a bar from the bottom of a chart.
func lower(column int, height float64, class, title string) rect {
	h := math.Max(1, 100*height)
	return rect{X: float64(column), W: 0.9, Y: 100 - h, H: h, Class: class, Title: title}
}

// column stacks the answers of an interval, then replies with an unknown sender and requests without a reply. Errors are a strip above.
func (t *timeline) column(n int, i v1alpha1.ProbeTimeInterval, names []string, classes map[string]string) {
	const top = 12 // the strip of errors
	bottom := 100.0
	stack := func(count int, class, title string) {
		if count == 0 {
			return
		}
		h := (100 - top - 2) * float64(count) / float64(t.Most)
		bottom -= h
		t.Rects = append(t.Rects, rect{X: float64(n), W: 0.9, Y: bottom, H: h, Class: class, Title: fmt.Sprintf("%s: %d of %d", title, count, i.Requests)})
	}
	for _, name := range names {
		stack(i.Answers[name], classes[name], short(name))
	}
	stack(i.Unknown, "none", "unknown sender")
	stack(i.NoAnswer, "fail", "no answer")
	if i.Errors > 0 {
		h := math.Max(3, top*float64(i.Errors)/float64(i.Requests))
		t.Rects = append(t.Rects, rect{X: float64(n), W: 0.9, Y: top - h, H: h, Class: "fail", Title: fmt.Sprintf("%d of %d failed", i.Errors, i.Requests)})
	}
}

func markText(m v1alpha1.ProbeMark, start time.Time) string {
	text := fmt.Sprintf("%s %s", after(m.Time, start), m.Text)
	switch {
	case m.EndTime != nil && m.ExitCode != nil:
		text += fmt.Sprintf(" (exit code %d, ended %s)", *m.ExitCode, after(*m.EndTime, start))
	case m.Command != "":
		text += " (not ended)"
	}
	return text
}

// after is a moment as the time since the beginning of the run.
func after(at, start time.Time) string { return fmt.Sprintf("%+.2f s", at.Sub(start).Seconds()) }

// outage is what a client saw after a mark, with a strip of the intervals around it.
type outage struct {
	Mark, Gap, Resolution, Failed, Text string
	Recovered                           bool
	Columns                             int
	Strip                               []rect
	From, To                            string
}

// stripBefore and stripAfter are how many intervals around a mark the strip shows.
const (
	stripBefore = 5
	stripAfter  = 35
)

func outages(r v1alpha1.ProbeReport, c v1alpha1.ProbeClient, classes map[string]string) []outage {
	var out []outage
	for _, o := range c.Outages {
		x := outage{
			Mark: o.Mark, Gap: fmt.Sprintf("%.2f s", o.GapMs/1000), Resolution: fmt.Sprintf("%.2f s", o.ResolutionMs/1000),
			Failed: fmt.Sprintf("%d of %d", o.Failed, o.Requests), Recovered: o.Recovered,
		}
		if len(c.Intervals) > 0 {
			start := c.Intervals[0].StartTime
			if o.LastAnswerTime != nil {
				x.Text = fmt.Sprintf("Last answer from %s %s.", short(o.Cluster), after(*o.LastAnswerTime, start))
			}
			if o.FirstAnswerTime != nil && o.Cluster != "" {
				x.Text += fmt.Sprintf(" First answer after the mark from %s %s.", short(o.ToCluster), after(*o.FirstAnswerTime, start))
			}
			x.strip(c.Intervals, o, view.Answerers(r), classes, start)
		}
		out = append(out, x)
	}
	return out
}

// strip shows the intervals around the mark.
func (x *outage) strip(intervals []v1alpha1.ProbeTimeInterval, o v1alpha1.ProbeOutage, names []string, classes map[string]string, start time.Time) {
	at := 0
	for i, one := range intervals {
		if !one.StartTime.After(o.Time) {
			at = i
		}
	}
	first, last := max(0, at-stripBefore), min(len(intervals), at+stripAfter)
	x.Columns = last - first
	x.From, x.To = after(intervals[first].StartTime, start), after(intervals[last-1].StartTime, start)
	for n, i := range intervals[first:last] {
		x.cell(n, i, names, classes, after(i.StartTime, start))
	}
}

// cell divides an interval of the strip by who answered, from below, with the requests that got no answer on top.
func (x *outage) cell(n int, i v1alpha1.ProbeTimeInterval, names []string, classes map[string]string, at string) {
	bottom := 100.0
	stack := func(count int, class, title string) {
		if count > 0 {
			h := 100 * float64(count) / float64(i.Requests)
			bottom -= h
			x.Strip = append(x.Strip, rect{X: float64(n), W: 0.9, Y: bottom, H: h, Class: class, Title: fmt.Sprintf("%s: %s %d of %d", at, title, count, i.Requests)})
		}
	}
	for _, name := range names {
		stack(i.Answers[name], classes[name], short(name))
	}
	stack(i.Unknown, "none", "unknown sender")
	stack(i.NoAnswer, "fail", "no answer")
}

// latencyRow is a row of a table of times.
type latencyRow struct {
	Name, Class             string
	N                       int
	Min, P50, P95, P99, Max string
}

// latencies returns the rows of a table of times: each cluster, then all answers.
func latencies(c v1alpha1.ProbeClient, classes map[string]string, total *v1alpha1.ProbeLatency, of func(v1alpha1.ProbeAnswer) *v1alpha1.ProbeLatency) []latencyRow {
	if total == nil {
		return nil
	}
	row := func(name, class string, l *v1alpha1.ProbeLatency) latencyRow {
		return latencyRow{Name: name, Class: class, N: l.Count, Min: millis(&l.Min), P50: millis(l.P50), P95: millis(l.P95), P99: millis(l.P99), Max: millis(&l.Max)}
	}
	var out []latencyRow
	for _, a := range c.Answers {
		if l := of(a); l != nil {
			out = append(out, row(short(a.Name), classes[a.Name], l))
		}
	}
	return append(out, row("all answers", "all", total))
}

// bar is a bucket of a histogram. Width is in percent.
type bar struct {
	Limit string
	Count int
	Width float64
}

func bars(buckets []v1alpha1.ProbeBucket) []bar {
	most := 1
	for _, b := range buckets {
		most = max(most, b.Count)
	}
	var out []bar
	for _, b := range buckets {
		out = append(out, bar{Limit: fmt.Sprintf("≤ %g ms", b.UpperBoundMs), Count: b.Count, Width: math.Max(0.5, 100*float64(b.Count)/float64(most))})
	}
	return out
}

type errorRow struct {
	Class, Cluster, First, Last, Message string
	Count                                int
}

func errorRows(r v1alpha1.ProbeReport, c v1alpha1.ProbeClient) []errorRow {
	since := func(at *time.Time) string {
		if at == nil || len(r.Intervals) == 0 {
			return "-"
		}
		return after(*at, r.Intervals[0].StartTime)
	}
	var out []errorRow
	for _, e := range c.Errors {
		row := errorRow{Class: e.Class, Cluster: "unattributed", Count: e.Count, First: since(e.FirstTime), Last: since(e.LastTime), Message: e.Message}
		if e.Cluster != "" {
			row.Cluster = short(e.Cluster)
		}
		if e.Predicted {
			row.Cluster += " (predicted)"
		}
		out = append(out, row)
	}
	return out
}
