// Package page renders a report as one page in HTML. The page needs no network and no scripts: its charts are SVG. It reads well in light and in
// dark, on a phone and in print.
//
// It is pure, and shows only what the document contains. html/template escapes everything that comes from a cluster.
package page

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

//go:embed page.html.tmpl
var text string

var tmpl = template.Must(template.New("page").Parse(text))

// Render writes the page of a report.
func Render(w io.Writer, r v1alpha1.ProbeReport) error {
	clean, err := cleaned(r)
	if err != nil {
		return err
	}
	return tmpl.Execute(w, newData(clean))
}

// generator is in every page, at its beginning.
const generator = `<meta name="generator" content="kubectl mesh-probe">`

// Is reports whether a file is a page of a report.
func Is(file io.Reader) (bool, error) {
	head := make([]byte, 1<<10)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return bytes.Contains(head[:n], []byte(generator)), nil
}

// cleaned returns the report without control characters. They do no harm in a browser, but a page is also read as text and copied from.
func cleaned(r v1alpha1.ProbeReport) (v1alpha1.ProbeReport, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return r, err
	}
	if raw, err = json.Marshal(clean(tree)); err != nil {
		return r, err
	}
	var out v1alpha1.ProbeReport
	err = json.Unmarshal(raw, &out)
	return out, err
}

func clean(v any) any {
	switch v := v.(type) {
	case string:
		return output.Clean(v)
	case []any:
		for i := range v {
			v[i] = clean(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[output.Clean(key)] = clean(value)
		}
		return out
	}
	return v
}

// data is what the template shows.
type data struct {
	URL, Method, Service, When string
	Targets                    []v1alpha1.ProbeTarget // if there are several
	Verdict, VerdictText       string
	Checks                     []v1alpha1.ProbeCheck
	Legend                     []legend
	Clients                    []client
	Timeline                   *timeline
	Several                    bool // several clients
}

// legend is the colour of a cluster.
type legend struct{ Name, Class string }

// client is what one client pod saw.
type client struct {
	Name, Pod, Node, Tool, Rate string
	Requests                    int
	Complete                    bool
	Reason                      string
	Shares                      []shareRow
	Latency, Connect            []latencyRow
	Histogram                   []bar
	Errors                      []errorRow
	Outages                     []outage
	Notes                       []string
	Timeline                    *timeline
}

// shareRow is a row of the chart of shares. Its numbers are in percent of the width.
type shareRow struct {
	Name, Class                     string
	Requests, Errors                int
	Share, Interval, Expected       string
	Width, Low, High, Tick          float64
	HasInterval, HasTick, HasErrors bool
}

// colours is how many colours there are. Further clusters use them again; names are next to every chart.
const colours = 7

func newData(r v1alpha1.ProbeReport) data {
	d := data{URL: r.Target.URL, Method: r.Target.Method, Service: r.Target.Service, Targets: r.Targets, Checks: r.Checks, Several: len(r.Clients) > 1}
	if r.StartTime != nil && r.EndTime != nil {
		d.When = fmt.Sprintf("%s UTC, %s", r.StartTime.UTC().Format("2006-01-02 15:04:05"), r.EndTime.Sub(*r.StartTime).Round(100*time.Millisecond))
	}
	d.Verdict, d.VerdictText = verdict(r)
	classes := map[string]string{}
	for _, c := range r.Clients {
		for _, a := range c.Answers {
			if classes[a.Name] == "" {
				classes[a.Name] = "c" + strconv.Itoa(len(classes)%colours)
				d.Legend = append(d.Legend, legend{short(a.Name), classes[a.Name]})
			}
		}
	}
	d.Timeline = newTimeline(r, r.Intervals, classes)
	for _, c := range r.Clients {
		d.Clients = append(d.Clients, newClient(r, c, classes))
	}
	return d
}

// verdict is the result of all checks in one word. A run that was not complete, or a check that was not decided, is never a PASS.
func verdict(r v1alpha1.ProbeReport) (word, text string) {
	failed, open := 0, 0
	for _, k := range r.Checks {
		switch k.Result {
		case "PASS":
		case "FAIL":
			failed++
		default:
			open++
		}
	}
	switch {
	case failed > 0:
		word, text = "FAIL", fmt.Sprintf("%d of %d checks failed", failed, len(r.Checks))
	case open > 0:
		word, text = "INCONCLUSIVE", fmt.Sprintf("%d of %d checks are inconclusive", open, len(r.Checks))
	case !r.Complete:
		return "NOT COMPLETE", "requests or clusters are missing; the numbers are those of a partial run"
	case len(r.Checks) == 0:
		return "NO CHECKS", "nothing was expected of this run"
	default:
		return "PASS", fmt.Sprintf("all %d checks passed", len(r.Checks))
	}
	if !r.Complete {
		text += "; the run was not complete"
	}
	return word, text
}

func newClient(r v1alpha1.ProbeReport, c v1alpha1.ProbeClient, classes map[string]string) client {
	out := client{
		Name: name(c), Pod: c.Namespace + "/" + c.Pod, Node: c.Node, Tool: c.Tool, Requests: c.Requests, Complete: c.Complete, Reason: c.Reason,
		Latency: latencies(c, classes, c.LatencyMs, func(a v1alpha1.ProbeAnswer) *v1alpha1.ProbeLatency { return a.LatencyMs }),
		Connect: latencies(c, classes, c.ConnectMs, func(a v1alpha1.ProbeAnswer) *v1alpha1.ProbeLatency { return a.ConnectMs }),
		Errors:  errorRows(r, c), Outages: outages(r, c, classes), Notes: notes(c),
	}
	if c.RequestsPerSecond != nil {
		out.Rate = fmt.Sprintf("%.0f/s", *c.RequestsPerSecond)
	}
	if c.LatencyMs != nil {
		out.Histogram = bars(c.LatencyMs.Histogram)
	}
	for _, a := range c.Answers {
		out.Shares = append(out.Shares, newShare(c, a, classes[a.Name]))
	}
	for _, x := range []struct {
		name          string
		count, errors int
	}{{"unknown sender", c.Unknown, c.UnknownErrors}, {"no answer", c.NoAnswer, c.NoAnswer}} {
		if x.count > 0 {
			row := shareRow{Name: x.name, Class: "none", Requests: x.count, Errors: x.errors, HasErrors: x.errors > 0}
			row.Width = 100 * float64(x.count) / float64(c.Requests)
			row.Share = stats.Percent(row.Width / 100)
			out.Shares = append(out.Shares, row)
		}
	}
	if len(r.Clients) > 1 {
		out.Timeline = newTimeline(r, c.Intervals, classes)
	}
	return out
}

func newShare(c v1alpha1.ProbeClient, a v1alpha1.ProbeAnswer, class string) shareRow {
	row := shareRow{Name: short(a.Name), Class: class, Requests: a.Requests, Errors: a.Errors, HasErrors: a.Errors > 0, Share: "-"}
	if c.Requests > 0 {
		row.Share, row.Interval = stats.Percent(a.Share), stats.Percent(a.ConfidenceInterval.Low)+" – "+stats.Percent(a.ConfidenceInterval.High)
		row.Width, row.Low, row.High, row.HasInterval = 100*a.Share, 100*a.ConfidenceInterval.Low, 100*a.ConfidenceInterval.High, true
	}
	if a.ExpectedShare != nil {
		row.Expected, row.Tick, row.HasTick = stats.Percent(*a.ExpectedShare), 100**a.ExpectedShare, true
	}
	return row
}

// name is that of a client, with its URL if the run has several.
func name(c v1alpha1.ProbeClient) string {
	if c.URL == "" {
		return c.Name
	}
	return c.Name + ", " + c.URL
}

// notes is what qualifies the numbers of a client.
func notes(c v1alpha1.ProbeClient) []string {
	var out []string
	if c.PredictionMessage != "" {
		out = append(out, "No prediction: "+c.PredictionMessage)
	}
	for _, s := range c.UnknownSamples {
		out = append(out, fmt.Sprintf("Unknown sender, %d times: %q", s.Count, s.Body))
	}
	return append(out, c.Warnings...)
}

// short is a name that fits into a row.
func short(name string) string {
	const most = 40
	if r := []rune(name); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return name
}

func millis(v *float64) string {
	if v == nil {
		return "-"
	}
	return strconv.FormatFloat(*v, 'f', 1, 64) + " ms"
}
