package view

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
)

// twoURLs is a run in which one pod calls two Services during a failover: /work has errors, /health has not.
func twoURLs() v1alpha1.ProbeReport {
	r := failover()
	health, work := "http://web/health", "http://work.shop/"
	r.Targets = []v1alpha1.ProbeTarget{{URL: health, Method: "GET", Service: "default/web", Port: 80}, {URL: work, Method: "GET", Service: "shop/work", Port: 80}}
	r.Target = r.Targets[0]
	a, b := client("us"), r.Clients[0]
	a.URL, b.URL = health, work
	a.Schedule, a.PredictionMessage = &v1alpha1.ProbeSchedule{Planned: 1000}, "the Service is headless"
	for _, i := range r.Intervals {
		b.Intervals = append(b.Intervals, i)
		a.Intervals = append(a.Intervals, v1alpha1.ProbeTimeInterval{StartTime: i.StartTime, Requests: 10, Answers: map[string]int{"us": 4, "eu": 6}})
	}
	mark := r.Intervals[10].StartTime.Add(30 * time.Millisecond)
	r.Marks = []v1alpha1.ProbeMark{{Time: mark, Text: "begins"}}
	b.Outages = []v1alpha1.ProbeOutage{{Mark: "begins", Time: mark, GapMs: 1500, ResolutionMs: 20, Requests: 700, Failed: 375, Recovered: true}}
	a.Outages = []v1alpha1.ProbeOutage{{Mark: "begins", Time: mark, GapMs: 12, ResolutionMs: 20, Requests: 300, Recovered: true}}
	r.Clients = []v1alpha1.ProbeClient{a, b}
	r.Checks = []v1alpha1.ProbeCheck{{Client: "us", URL: health, Expectation: "errors<1%", Result: "PASS", Observed: "0.0%"}, {Client: "us", URL: work, Expectation: "errors<1%", Result: "FAIL", Observed: "37.5%"}}
	r.Witnesses = []v1alpha1.ProbeWitness{{Cluster: "us", Node: "n1", URL: work, Agent: "cilium-x", Backends: map[string]int{"us": 2}, DifferingLayer: "none"}}
	return r
}

// Each client appears once for each URL, and the timeline has the lanes of each URL on one clock.
func TestSeveralURLs(t *testing.T) {
	t.Parallel()
	golden(t, "urls", twoURLs())
}

// Without a URL of their own, no table of these clients has another column.
func TestOneURLHasNoColumn(t *testing.T) {
	t.Parallel()
	r := twoURLs()
	r.Targets, r.Clients = nil, r.Clients[1:]
	r.Clients[0].URL = ""
	for _, s := range Sections(r, true) {
		if s.Table == nil {
			continue
		}
		for _, c := range s.Table.ColumnDefinitions {
			if c.Name == "URL" || c.Name == "Url" {
				t.Errorf("%+v", s.Table.ColumnDefinitions)
			}
		}
	}
}

func TestFormatsOfSeveralURLs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := JUnit(&out, twoURLs()); err != nil {
		t.Fatal(err)
	}
	var got junit.Suites
	if err := xml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`name="kubectl mesh-probe http://web/health http://work.shop/"`, `classname="client us, http://web/health"`, `classname="client us, http://work.shop/"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("junit lacks %s", want)
		}
	}
	if got.Tests != 4 || got.Failures != 1 {
		t.Errorf("%d tests, %d failures", got.Tests, got.Failures)
	}
	r := twoURLs()
	r.EndTime = ptr.To(r.Intervals[0].StartTime)
	out.Reset()
	if err := Prometheus(&out, r); err != nil {
		t.Fatal(err)
	}
	series := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		id, _, _ := strings.Cut(line, "} ")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if series[id] {
			t.Errorf("a series occurs twice: %s", id)
		}
		series[id] = true
		if !strings.Contains(id, `service="default/web",url="http://web/health"`) && !strings.Contains(id, `service="shop/work",url="http://work.shop/"`) {
			t.Errorf("without its URL: %s", line)
		}
	}
}

func TestComparisonOfURLs(t *testing.T) {
	t.Parallel()
	s := Comparison(v1alpha1.ProbeComparison{
		A: v1alpha1.ProbeComparedRun{URLs: []string{"http://a/", "http://b/"}}, Metrics: []v1alpha1.ProbeMetric{{Client: "us", URL: "http://b/", Metric: "errors", Result: "SAME"}},
	})
	if row := s[0].Table.Rows[0].Cells; len(row) < 2 || row[0] != "us" || row[1] != "http://b/" {
		t.Errorf("%v", row)
	}
}
