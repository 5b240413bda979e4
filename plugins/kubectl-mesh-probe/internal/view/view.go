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
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
)

const (
	unknown  = "<unknown>"   // replies with an unknown sender, including errors such as a 503
	noAnswer = "<no answer>" // requests without a reply
	all      = "<all>"       // all requests of a client, with the latency over all answers
	none     = "-"
)

// Sections returns what -o table prints: a matrix if there are several clients, the answers, the errors, the timeline if something happened,
// the checks, and how the numbers were measured. -o wide (wide) adds the timeline of every run, the times to connect and histograms.
func Sections(r v1alpha1.ProbeReport, wide bool) []output.Section {
	var out []output.Section
	if len(r.Clients) > 1 {
		out = append(out, matrix(r))
	}
	out = append(out, answers(r))
	if s, ok := failures(r); ok {
		out = append(out, s)
	}
	if len(r.Witnesses) > 0 {
		out = append(out, witnesses(r))
	}
	if wide || eventful(r) {
		out = append(out, timeline(r)...)
	}
	if wide {
		out = append(out, connects(r)...)
		out = append(out, histograms(r)...)
	}
	if len(r.Checks) > 0 {
		out = append(out, checks(r))
	}
	return append(out, output.Section{Text: source(r)})
}

// Answerers lists the clusters and values that answered any client, in their order.
func Answerers(r v1alpha1.ProbeReport) []string {
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
	columns := Answerers(r)
	var unknowns, unanswered bool
	for _, c := range r.Clients {
		unknowns = unknowns || c.Unknown > 0
		unanswered = unanswered || c.NoAnswer > 0
	}
	head := withURL(r, 1, "URL", "FROM", "REQUESTS")
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
		row := withURL(r, 1, c.URL, c.Name, strconv.Itoa(c.Requests))
		for _, n := range columns {
			cell := none
			for _, a := range c.Answers {
				if a.Name == n && c.Requests > 0 {
					cell = stats.Percent(a.Share)
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
		columns = withURL(r, 1, "URL", append([]string{"FROM"}, columns...)...)
	}
	t := output.NewTable(columns...)
	for _, c := range r.Clients {
		add := func(cells ...string) {
			if several {
				cells = withURL(r, 1, c.URL, append([]string{c.Name}, cells...)...)
			}
			output.AddRow(t, cells...)
		}
		for _, a := range c.Answers {
			expected, share, ci := none, none, none
			if a.ExpectedShare != nil {
				expected = stats.Percent(*a.ExpectedShare)
			}
			if c.Requests > 0 {
				share, ci = stats.Percent(a.Share), stats.Percent(a.ConfidenceInterval.Low)+" - "+stats.Percent(a.ConfidenceInterval.High)
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
		if l := c.LatencyMs; l != nil && senders(c) > 1 {
			add(all, strconv.Itoa(c.Requests), stats.Percent(1), none, none, strconv.Itoa(failed(c)), millis(l.P50), millis(l.P95), millis(l.P99))
		}
	}
	return output.Section{Table: t}
}

// senders is how many clusters, values and unknown senders answered.
func senders(c v1alpha1.ProbeClient) int {
	n := 0
	for _, a := range c.Answers {
		if a.Requests > 0 {
			n++
		}
	}
	if c.Unknown > 0 {
		n++
	}
	return n
}

// failed is how many requests of a client failed.
func failed(c v1alpha1.ProbeClient) int {
	n := 0
	for _, e := range c.Errors {
		n += e.Count
	}
	return n
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

func checks(r v1alpha1.ProbeReport) output.Section {
	t := output.NewTable(withURL(r, 2, "URL", "CHECK", "FROM", "RESULT", "OBSERVED", "REASON")...)
	for _, c := range r.Checks {
		output.AddRow(t, withURL(r, 2, c.URL, c.Expectation, c.Client, c.Result, dash(c.Observed), dash(c.Reason))...)
	}
	return output.Section{Table: t}
}

// source describes how the numbers of each client were measured.
func source(r v1alpha1.ProbeReport) []string {
	var out []string
	few := false
	for _, c := range r.Clients {
		if c.Tool == "" {
			out = append(out, fmt.Sprintf("%s: %s", from(c), c.Reason))
			continue
		}
		line := fmt.Sprintf("%s: %d requests to %s from %s with %s", c.Name, c.Requests, urlOf(r, c), origin(c), c.Tool)
		if c.RequestsPerSecond != nil {
			line += fmt.Sprintf(", %.0f/s", *c.RequestsPerSecond)
		}
		var by []string
		for _, k := range slices.Sorted(maps.Keys(c.IdentifiedBy)) {
			by = append(by, fmt.Sprintf("%s (%d)", k, c.IdentifiedBy[k]))
		}
		if len(by) > 0 {
			line += "; identified by " + strings.Join(by, ", ")
		}
		if !c.Complete {
			line += "; NOT COMPLETE: " + c.Reason
		}
		out = append(out, line)
		if c.Schedule != nil {
			out = append(out, schedule(fromParts(c.Cluster, c.URL), *c.Schedule))
		}
		if c.PredictionMessage != "" {
			out = append(out, from(c)+": no prediction: "+c.PredictionMessage)
		}
		if c.Unknown > 0 {
			out = append(out, unknownReplies(c, strings.HasPrefix(urlOf(r, c), "tcp://")))
		}
		missing, untimed := percentiles(c)
		few = few || missing
		switch {
		case untimed && strings.HasPrefix(urlOf(r, c), "tcp://"):
			out = append(out, fmt.Sprintf("%s: no latencies: the shell of the pod has no clock; bash from 5.0 and busybox ash have one", from(c)))
		case untimed:
			out = append(out, fmt.Sprintf("%s: no latencies: %s does not measure single requests; curl does", from(c), c.Tool))
		}
	}
	if few {
		out = append(out, "P50, P95 and P99 need at least 20, 200 and 1000 measured answers from a cluster")
	}
	return out
}

// origin names the pod that sent the requests.
func origin(c v1alpha1.ProbeClient) string {
	pod := c.Namespace + "/" + c.Pod
	switch {
	case c.Helper == nil:
		return "pod " + pod
	case c.Helper.Kind == "pod":
		return fmt.Sprintf("helper pod %s (for %s)", pod, c.Helper.ClientPod)
	}
	return fmt.Sprintf("pod %s, ephemeral container %s", pod, c.Container)
}

// unknownReplies describes the replies that could not be attributed, by the most frequent distinct ones. With tcp they are connections, and what is known
// of them is the address of their socket.
func unknownReplies(c v1alpha1.ProbeClient, tcp bool) string {
	what, nothing, fix := "replies", "an empty body", "; use --identify to select the part of the reply that identifies the cluster"
	if tcp {
		what, nothing, fix = "connections", "no address", ""
	}
	line := fmt.Sprintf("%s: %d %s could not be attributed: ", from(c), c.Unknown, what)
	rest := c.Unknown
	for i, s := range c.UnknownSamples {
		if i > 0 {
			line += ", "
		}
		body := strconv.Quote(output.Clean(s.Body))
		switch {
		case s.Body == "":
			body = nothing
		case tcp:
			body = "socket " + output.Clean(s.Body)
		}
		line += fmt.Sprintf("%s (%d times)", body, s.Count)
		rest -= s.Count
	}
	if rest > 0 && rest < c.Unknown {
		line += fmt.Sprintf(", and %d more", rest)
	} else if rest > 0 {
		line += "no sample was kept"
	}
	return line + fix
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
	return stats.Percent(float64(k) / float64(n))
}

func millis(v *float64) string {
	if v == nil {
		return none
	}
	return strconv.FormatFloat(*v, 'f', 1, 64) + "ms"
}
