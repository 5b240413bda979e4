// Package view shows a ProbeReport as tables. It is pure and shows only what the document contains.
package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

const (
	unknown  = "<unknown>"   // replies with an unknown sender, including errors such as a 503
	noAnswer = "<no answer>" // requests without a reply
	none     = "-"
)

// Sections returns what -o table prints: a matrix if there are several clients, the answers, the errors, the checks, and how the numbers were
// measured.
func Sections(r v1alpha1.ProbeReport) []output.Section {
	var out []output.Section
	if len(r.Clients) > 1 {
		out = append(out, matrix(r))
	}
	out = append(out, answers(r))
	if s, ok := failures(r); ok {
		out = append(out, s)
	}
	if len(r.Checks) > 0 {
		out = append(out, checks(r))
	}
	return append(out, output.Section{Text: source(r)})
}

// names lists the clusters and values that answered any client, in their order.
func names(r v1alpha1.ProbeReport) []string {
	var out []string
	for _, c := range r.Clients {
		for _, a := range c.Answers {
			if !slices.Contains(out, a.Name) {
				out = append(out, a.Name)
			}
		}
	}
	return out
}

func matrix(r v1alpha1.ProbeReport) output.Section {
	columns := names(r)
	var unknowns, unanswered bool
	for _, c := range r.Clients {
		unknowns = unknowns || c.Unknown > 0
		unanswered = unanswered || c.NoAnswer > 0
	}
	head := []string{"FROM", "REQUESTS"}
	for _, n := range columns {
		head = append(head, output.Clean(n))
	}
	if unknowns {
		head = append(head, strings.ToUpper(unknown))
	}
	if unanswered {
		head = append(head, strings.ToUpper(noAnswer))
	}
	t := output.NewTable(head...)
	for _, c := range r.Clients {
		row := []string{c.Cluster, strconv.Itoa(c.Requests)}
		for _, n := range columns {
			cell := none
			for _, a := range c.Answers {
				if a.Name == n && c.Requests > 0 {
					cell = percent(a.Share)
				}
			}
			row = append(row, cell)
		}
		if unknowns {
			row = append(row, part(c.Unknown, c.Requests))
		}
		if unanswered {
			row = append(row, part(c.NoAnswer, c.Requests))
		}
		output.AddRow(t, row...)
	}
	return output.Section{Table: t}
}

func answers(r v1alpha1.ProbeReport) output.Section {
	columns := []string{"CLUSTER", "REQUESTS", "SHARE", "95% CI", "EXPECTED", "ERRORS", "P50", "P95", "P99"}
	several := len(r.Clients) > 1
	if several {
		columns = append([]string{"FROM"}, columns...)
	}
	t := output.NewTable(columns...)
	for _, c := range r.Clients {
		add := func(cells ...string) {
			if several {
				cells = append([]string{c.Cluster}, cells...)
			}
			output.AddRow(t, cells...)
		}
		for _, a := range c.Answers {
			expected, share, ci := none, none, none
			if a.Expected != nil {
				expected = percent(*a.Expected)
			}
			if c.Requests > 0 {
				share, ci = percent(a.Share), percent(a.CI.Low)+" - "+percent(a.CI.High)
			}
			p50, p95, p99 := none, none, none
			if l := a.LatencyMs; l != nil {
				p50, p95, p99 = millis(l.P50), millis(l.P95), millis(l.P99)
			}
			add(quoted(a), strconv.Itoa(a.Requests), share, ci, expected, strconv.Itoa(a.Errors), p50, p95, p99)
		}
		if c.Unknown > 0 {
			add(unknown, strconv.Itoa(c.Unknown), part(c.Unknown, c.Requests), none, none, strconv.Itoa(c.UnknownErrors), none, none, none)
		}
		if c.NoAnswer > 0 {
			add(noAnswer, strconv.Itoa(c.NoAnswer), part(c.NoAnswer, c.Requests), none, none, strconv.Itoa(c.NoAnswer), none, none, none)
		}
	}
	return output.Section{Table: t}
}

// quoted returns the name of a member, or a captured value in quotation marks.
func quoted(a v1alpha1.ProbeAnswer) string {
	if a.Member {
		return a.Name
	}
	name := output.Clean(a.Name)
	if r := []rune(name); len(r) > 40 {
		name = string(r[:40]) + "..."
	}
	return strconv.Quote(name)
}

func failures(r v1alpha1.ProbeReport) (output.Section, bool) {
	t := output.NewTable("FROM", "ERROR", "COUNT", "MESSAGE")
	for _, c := range r.Clients {
		for _, e := range c.Errors {
			message := e.Message
			if message == "" {
				message = none
			}
			output.AddRow(t, c.Cluster, e.Class, strconv.Itoa(e.Count), message)
		}
	}
	return output.Section{Table: t}, len(t.Rows) > 0
}

func checks(r v1alpha1.ProbeReport) output.Section {
	t := output.NewTable("CHECK", "FROM", "RESULT", "OBSERVED", "REASON")
	for _, c := range r.Checks {
		output.AddRow(t, c.Expr, c.Client, c.Result, dash(c.Observed), dash(c.Reason))
	}
	return output.Section{Table: t}
}

// source describes how the numbers of each client were measured.
func source(r v1alpha1.ProbeReport) []string {
	var out []string
	few := false
	for _, c := range r.Clients {
		if c.Tool == "" {
			out = append(out, fmt.Sprintf("%s: %s", c.Cluster, c.Reason))
			continue
		}
		line := fmt.Sprintf("%s: %d requests to %s from pod %s/%s with %s", c.Cluster, c.Requests, r.Target.URL, c.Namespace, c.Pod, c.Tool)
		if c.RequestsPerSecond != nil {
			line += fmt.Sprintf(", %.0f/s", *c.RequestsPerSecond)
		}
		var by []string
		for _, k := range slices.Sorted(maps.Keys(c.RecognisedBy)) {
			by = append(by, fmt.Sprintf("%s (%d)", k, c.RecognisedBy[k]))
		}
		if len(by) > 0 {
			line += "; recognised by " + strings.Join(by, ", ")
		}
		if !c.Complete {
			line += "; NOT COMPLETE: " + c.Reason
		}
		out = append(out, line)
		if c.PredictionMessage != "" {
			out = append(out, c.Cluster+": no prediction: "+c.PredictionMessage)
		}
		if c.Unknown > 0 {
			out = append(out, unknownReplies(c))
		}
		missing, untimed := percentiles(c)
		few = few || missing
		if untimed {
			out = append(out, fmt.Sprintf("%s: no latencies: %s does not measure single requests; curl does", c.Cluster, c.Tool))
		}
	}
	if few {
		out = append(out, "P50, P95 and P99 need at least 20, 200 and 1000 measured answers from a cluster")
	}
	return out
}

// unknownReplies describes the replies that could not be attributed, by the most frequent distinct ones.
func unknownReplies(c v1alpha1.ProbeClient) string {
	line := fmt.Sprintf("%s: %d replies could not be attributed: ", c.Cluster, c.Unknown)
	rest := c.Unknown
	for i, s := range c.UnknownSamples {
		if i > 0 {
			line += ", "
		}
		body := strconv.Quote(output.Clean(s.Body))
		if s.Body == "" {
			body = "an empty body"
		}
		line += fmt.Sprintf("%s (%d times)", body, s.Count)
		rest -= s.Count
	}
	if rest > 0 && rest < c.Unknown {
		line += fmt.Sprintf(", and %d more", rest)
	} else if rest > 0 {
		line += "no sample was kept"
	}
	return line + "; use --identify to select the part that identifies the cluster"
}

// percentiles reports whether some percentiles are missing because there are too few answers (few), and whether the tool measures no latencies
// (untimed).
func percentiles(c v1alpha1.ProbeClient) (few, untimed bool) {
	attributed, timed := false, false
	for _, a := range c.Answers {
		attributed = attributed || a.Requests > 0
		if l := a.LatencyMs; l != nil {
			timed = true
			few = few || l.P50 == nil || l.P95 == nil || l.P99 == nil
		}
	}
	return few, attributed && !timed
}

func dash(s string) string {
	if s == "" {
		return none
	}
	return s
}

func part(k, n int) string {
	if n == 0 {
		return none
	}
	return percent(float64(k) / float64(n))
}

func percent(v float64) string { return strconv.FormatFloat(100*v, 'f', 1, 64) + "%" }

func millis(v *float64) string {
	if v == nil {
		return none
	}
	return strconv.FormatFloat(*v, 'f', 1, 64) + "ms"
}
