package view

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// same compares a text with a golden file.
func same(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: %s", file, d)
	}
}

// checked is the failover with one check of each kind, a mark, and a text that must be escaped.
func checked() v1alpha1.ProbeReport {
	r := failover()
	r.Complete = true
	r.Marks = []v1alpha1.ProbeMark{{Time: r.Intervals[12].StartTime, Text: "scale \"us\" <to> 0\x1b[2J", Command: "x", EndTime: ptr.To(r.Intervals[14].StartTime), ExitCode: ptr.To(0)}}
	r.Clients[0].Outages = []v1alpha1.ProbeOutage{{
		Mark: r.Marks[0].Text, Time: r.Marks[0].Time, Cluster: "us", LastAnswerTime: ptr.To(r.Intervals[11].StartTime), ToCluster: "eu", FirstAnswerTime: ptr.To(r.Intervals[27].StartTime),
		GapMs: 1515, Recovered: true, Requests: 700, Failed: 375, ResolutionMs: 40,
	}}
	r.Clients[0].Complete = true
	r.Checks = []v1alpha1.ProbeCheck{
		{Client: "us", Expectation: "us>0%", Result: "PASS", Observed: "66.7%"},
		{Client: "us", Expectation: "errors<1%", Result: "FAIL", Observed: "2.1%, 95% CI 1.4% - 3.2%", Reason: "<b>"},
		{Client: "us", Expectation: "us=50%", Result: "INCONCLUSIVE", Observed: "66.7%", Reason: "too few requests"},
	}
	return r
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := JUnit(&out, checked()); err != nil {
		t.Fatal(err)
	}
	var got junit.Suites
	if err := xml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 4 || got.Failures != 1 || got.Errors != 1 || got.Skipped != 0 {
		t.Errorf("%d tests, %d failures, %d errors", got.Tests, got.Failures, got.Errors)
	}
	same(t, "junit", out.String())
	r := checked()
	r.Clients[0].Complete, r.Clients[0].Reason = false, "the exec stream was lost"
	out.Reset()
	if err := JUnit(&out, r); err != nil || !strings.Contains(out.String(), `<error message="the exec stream was lost" type="not complete">`) {
		t.Errorf("a run that is not complete: %v\n%s", err, out.String())
	}
}

var (
	promHelp   = regexp.MustCompile(`^# (HELP [a-z_]+ .+|TYPE [a-z_]+ (gauge|histogram))$`)
	promSample = regexp.MustCompile(`^([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\[\\"n])*")*\})? [0-9.e+-]+$`)
)

func TestPrometheus(t *testing.T) {
	t.Parallel()
	r := checked()
	r.Clients[0].Answers[0].Name = "Cluster \"1\"\n\\\xff"
	r.Clients[0].Answers[0].LatencyMs.Histogram = []v1alpha1.ProbeBucket{{UpperBoundMs: 1, Count: 60}, {UpperBoundMs: 2, Count: 600}, {UpperBoundMs: 20, Count: 7}}
	var out bytes.Buffer
	if err := Prometheus(&out, r); err != nil {
		t.Fatal(err)
	}
	series := map[string]bool{}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if !promHelp.MatchString(line) && !promSample.MatchString(line) {
			t.Errorf("not a line of the format: %q", line)
		}
		id, _, _ := strings.Cut(line, "} ")
		if !strings.HasPrefix(line, "#") && series[id] {
			t.Errorf("a series occurs twice: %s", id)
		}
		series[id] = true
	}
	same(t, "prometheus", out.String())
}

// A table of marks and outages fits 80 columns where its texts allow it.
func TestOutageInTheTable(t *testing.T) {
	t.Parallel()
	golden(t, "outage", checked())
}

func TestComparisonTable(t *testing.T) {
	t.Parallel()
	c := v1alpha1.ProbeComparison{
		Result: "DIFFERENT", Confidence: 0.95,
		A: v1alpha1.ProbeComparedRun{File: "monday.jsonl.gz", Requests: 4000}, B: v1alpha1.ProbeComparedRun{File: "tuesday.jsonl.gz", Requests: 4100},
		Metrics: []v1alpha1.ProbeMetric{
			{Client: "us", Metric: "errors", A: 0.001, B: 0.0305, Change: 0.0295, ConfidenceInterval: v1alpha1.ProbeInterval{Low: 0.021, High: 0.038}, Tolerance: 0.01, PValue: ptr.To(1e-9), Result: "DIFFERENT"},
			{Client: "us", Metric: "share", Cluster: "eu", A: 0.5, B: 0.49, Change: -0.01, ConfidenceInterval: v1alpha1.ProbeInterval{Low: -0.04, High: 0.02}, Tolerance: 0.05, PValue: ptr.To(0.37), Result: "SAME"},
			{Client: "us", Metric: "p95", Cluster: "eu", A: 21.5, B: 23.75, Change: 1.105, ConfidenceInterval: v1alpha1.ProbeInterval{Low: 0.9, High: 1.3}, Tolerance: 0.2, Result: "INCONCLUSIVE", Reason: "the latencies vary too much for this number of requests"},
		},
	}
	var out bytes.Buffer
	if err := output.NewFlags().Print(&out, nil, Comparison(c)); err != nil {
		t.Fatal(err)
	}
	same(t, "comparison", out.String())
}
