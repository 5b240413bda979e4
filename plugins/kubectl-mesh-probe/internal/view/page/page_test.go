package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// run is a report of clients in these clusters: cluster us fails after three seconds, and eu takes over after 1.5 s.
func run(clients ...string) v1alpha1.ProbeReport {
	start := time.Date(2026, 11, 29, 12, 0, 3, 0, time.UTC)
	half, code := 0.5, 0
	doc := v1alpha1.ProbeReport{
		Document:  v1alpha1.Document{Complete: true, Members: []v1alpha1.Member{{Name: "us"}, {Name: "eu"}}},
		Target:    v1alpha1.ProbeTarget{URL: "http://nginx.web/", Method: "GET", Service: "web/nginx", Port: 80},
		StartTime: &start, EndTime: ptr.To(start.Add(10 * time.Second)),
		Marks: []v1alpha1.ProbeMark{{Time: start.Add(2980 * time.Millisecond), Text: "kubectl --context kind-us scale deployment nginx --replicas 0", Command: "x", EndTime: ptr.To(start.Add(3300 * time.Millisecond)), ExitCode: &code}},
		Checks: []v1alpha1.ProbeCheck{
			{Client: "us", Expectation: "errors<5%", Result: "FAIL", Observed: "15.0% (75 of 500), 95% CI 12.1% - 18.4%"},
			{Client: "us", Expectation: "failover<2s", Result: "PASS", Observed: "1.52s ± 0.02s"},
			{Client: "eu", Expectation: "eu=50%±2", Result: "INCONCLUSIVE", Observed: "54.0% (270 of 500), 95% CI 49.6% - 58.3%", Reason: "too few requests for a verdict; about 4000 are needed"},
		},
	}
	for _, cluster := range clients {
		doc.Clients = append(doc.Clients, v1alpha1.ProbeClient{
			Name: cluster, Cluster: cluster, Namespace: "web", Pod: "client-7d9c5", Node: cluster + "-worker", Tool: "curl 8.5.0", Complete: true, DurationMs: ptr.To(10000.0),
			Answers: []v1alpha1.ProbeAnswer{{Name: "us", ExpectedShare: &half}, {Name: "eu", ExpectedShare: &half}},
		})
	}
	var log history.Log
	for n := range 500 * len(clients) {
		ms := n / len(clients) * 20
		r := history.Request{Client: clients[n%len(clients)], Pod: "client-7d9c5", Start: start.Add(time.Duration(ms) * time.Millisecond), Status: 200, Measured: true}
		far := ms/20%2 == 1
		if ms >= 4500 {
			far = true
		}
		r.Cluster, r.Member, r.Evidence = "us", true, "pod name"
		r.Duration, r.Connect = time.Duration(900+n*37%700)*time.Microsecond, 300*time.Microsecond
		if far {
			r.Cluster, r.Duration, r.Connect = "eu", time.Duration(21000+n*53%3000)*time.Microsecond, 10*time.Millisecond
		}
		if ms >= 3000 && ms < 4500 {
			r.Status, r.Cluster, r.Member, r.Measured, r.Connect, r.Class, r.Message = 0, "", false, false, 0, reply.ClassConnectTimeout, "Connection timed out after 1001 milliseconds"
		}
		log.Add(r)
	}
	summary.Fill(&doc, &log)
	return doc
}

func render(t *testing.T, r v1alpha1.ProbeReport) string {
	t.Helper()
	var out bytes.Buffer
	if err := Render(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The page has every number of the report, verdicts first, and nothing that a browser would load.
func TestPage(t *testing.T) {
	t.Parallel()
	html := render(t, run("us", "eu"))
	var at int
	for _, section := range []string{`id="verdicts"`, `id="shares"`, `id="timeline"`, `class="failover"`, `id="latency"`, `id="errors"`} {
		next := strings.Index(html, section)
		if next < at {
			t.Errorf("%s is not there, or not in its place", section)
		}
		at = next
	}
	for _, want := range []string{
		"<strong>FAIL</strong><span>1 of 3 checks failed", "errors&lt;5%", "15.0% (75 of 500)", "too few requests for a verdict", "expected 50.0%",
		"connect-timeout", "unattributed", "Connection timed out after 1001 milliseconds", "1.52 s", "kubectl --context kind-us scale deployment nginx --replicas 0 (exit code 0",
		"Last answer from us", "First answer after the mark from eu", "Time to connect", "prefers-color-scheme: dark", "@media print", `name="viewport"`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	for _, never := range []string{"<script", "http-equiv=\"refresh\"", "src=", "@import", "url(", "<link", "ZgotmplZ", "NaN", "Inf"} {
		if strings.Contains(html, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if links := regexp.MustCompile(`href=`).FindAllString(html, -1); len(links) > 0 {
		t.Errorf("links: %q", links)
	}
}

// With several URLs, the head lists them, and clients and checks name theirs.
func TestPageOfSeveralURLs(t *testing.T) {
	t.Parallel()
	r := run("us", "eu")
	r.Targets = []v1alpha1.ProbeTarget{r.Target, {URL: "http://work.web/<path>", Method: "GET", Service: "web/work", Port: 80}}
	r.Clients[0].URL, r.Clients[1].URL, r.Checks[0].URL = r.Targets[0].URL, r.Targets[1].URL, r.Targets[1].URL
	html := render(t, r)
	for _, want := range []string{
		"<h1>GET http://nginx.web/<br>GET http://work.web/&lt;path&gt;</h1>", "Service web/nginx · Service web/work · 2026", "<td>us, http://work.web/&lt;path&gt;</td>",
		"<h3>From us, http://nginx.web/", "<h3>From eu, http://work.web/&lt;path&gt;",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

// Text from a cluster is text: it cannot become an element, an attribute or a control character.
func TestPageEscapes(t *testing.T) {
	t.Parallel()
	const evil = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"' onload=x\x1b[2J\u202e"
	r := run("us", "eu")
	r.Target.URL, r.Target.Service, r.Target.Method, r.Marks[0].Text = evil, evil, evil, evil
	r.Targets = []v1alpha1.ProbeTarget{r.Target, r.Target}
	r.Clients[0].URL, r.Checks[0].URL = evil, evil
	r.Checks[0].Expectation, r.Checks[0].Reason, r.Checks[0].Observed, r.Checks[0].Client = evil, evil, evil, evil
	r.Checks[0].Result = evil
	for i := range r.Clients {
		c := &r.Clients[i]
		c.Name, c.Pod, c.Node, c.Tool, c.Reason, c.Complete, c.PredictionMessage = evil, evil, evil, evil, evil, false, evil
		c.Warnings, c.UnknownSamples = []string{evil}, []v1alpha1.ProbeUnknown{{Count: 1, Body: evil}}
		c.Answers[0].Name, c.Errors[0].Class, c.Errors[0].Message, c.Errors[0].Cluster, c.Outages[0].Mark, c.Outages[0].Cluster, c.Outages[0].ToCluster = evil, evil, evil, evil, evil, evil, evil
	}
	html := render(t, r)
	for _, never := range []string{"<script", "<img", "\" onload", "' onload=x\"", "\x1b", "\u202e", "</title></style>"} {
		if strings.Contains(html, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if strings.Count(html, "<title>mesh-probe") != 1 || strings.Count(html, "</style>") != 1 {
		t.Error("an element was closed by a text")
	}
}

// Reports with little in them are pages too.
func TestPageOfLittle(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]v1alpha1.ProbeReport{
		"nothing":     {},
		"no requests": {Clients: []v1alpha1.ProbeClient{{Name: "us", Answers: []v1alpha1.ProbeAnswer{{Name: "us", Member: true}}}}},
		"no checks":   {Document: v1alpha1.Document{Complete: true}, Clients: []v1alpha1.ProbeClient{{Name: "us", Requests: 3, NoAnswer: 3, Complete: true}}},
	} {
		html := render(t, r)
		if strings.Contains(html, "NaN") || strings.Contains(html, "Inf") || !strings.Contains(html, "</html>") || strings.Contains(html, "<strong>PASS</strong>") {
			t.Errorf("%s: %s", name, html)
		}
	}
}

// A run that was not complete, or a check that was not decided, is never a PASS.
func TestVerdict(t *testing.T) {
	t.Parallel()
	check := func(results ...string) (out []v1alpha1.ProbeCheck) {
		for _, r := range results {
			out = append(out, v1alpha1.ProbeCheck{Result: r})
		}
		return out
	}
	for _, c := range []struct {
		complete bool
		checks   []v1alpha1.ProbeCheck
		want     string
	}{
		{true, check("PASS", "PASS"), "PASS"}, {true, check("PASS", "FAIL", "INCONCLUSIVE"), "FAIL"}, {true, check("PASS", "INCONCLUSIVE"), "INCONCLUSIVE"},
		{true, check("PASS", "something new"), "INCONCLUSIVE"}, {false, check("PASS"), "NOT COMPLETE"}, {false, check("FAIL"), "FAIL"}, {true, nil, "NO CHECKS"},
	} {
		if got, _ := verdict(v1alpha1.ProbeReport{Document: v1alpha1.Document{Complete: c.complete}, Checks: c.checks}); got != c.want {
			t.Errorf("complete %v, %v: %s, want %s", c.complete, c.checks, got, c.want)
		}
	}
}

// Every rectangle and line is inside its chart.
func TestChartsFit(t *testing.T) {
	t.Parallel()
	html := render(t, run("us", "eu"))
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(html, -1) {
		dec := xml.NewDecoder(strings.NewReader(svg))
		var width, height float64
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("not XML: %v\n%s", err, svg)
			}
			e, ok := tok.(xml.StartElement)
			if !ok {
				continue
			}
			v := attributes(t, e)
			switch e.Name.Local {
			case "svg":
				width, height = v["w"], v["h"]
			case "rect":
				if v["x"] < 0 || v["y"] < -0.001 || v["width"] <= 0 && height != 10 || v["height"] <= 0 || v["x"]+v["width"] > width+0.001 || v["y"]+v["height"] > height+0.001 {
					t.Errorf("%v is outside of %v x %v", v, width, height)
				}
			case "line":
				if v["x1"] < 0 || v["x2"] > width+0.001 || v["y1"] < 0 || v["y2"] > height {
					t.Errorf("%v is outside of %v x %v", v, width, height)
				}
			}
		}
	}
}
