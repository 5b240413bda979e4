package view

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// failover is a run in which eu takes over from us.
func failover() v1alpha1.ProbeReport {
	start := time.Date(2026, 11, 29, 12, 0, 3, 0, time.UTC)
	c := client("us")
	c.LatencyMs = &v1alpha1.ProbeLatency{Count: 980, Min: 0.4, Mean: 4, P50: ptr.To(1.25), P95: ptr.To(12.0), Max: 31, Histogram: []v1alpha1.ProbeBucket{{UpperBoundMs: 0.5, Count: 3}, {UpperBoundMs: 1.5, Count: 600}, {UpperBoundMs: 15, Count: 377}}}
	c.Answers[0].ConnectMs = &v1alpha1.ProbeLatency{Count: 667, Min: 0.2, P50: ptr.To(0.3), Max: 2.5}
	c.ConnectMs = &v1alpha1.ProbeLatency{Count: 980, Min: 0.2, P50: ptr.To(0.4), P95: ptr.To(10.5), Max: 12}
	c.NoAnswer = 18
	c.Errors = []v1alpha1.ProbeError{
		{Class: "connect-timeout", Count: 18, FirstTime: ptr.To(start.Add(1200 * time.Millisecond)), LastTime: ptr.To(start.Add(2700 * time.Millisecond)), Message: "Connection timed out"},
		{Class: "http-5xx", Cluster: "eu", Count: 2, FirstTime: ptr.To(start.Add(3 * time.Second)), LastTime: ptr.To(start.Add(3 * time.Second)), Message: "HTTP status 503"},
		{Class: "refused", Cluster: "us", Predicted: true, Count: 1},
	}
	r := report(c)
	r.IntervalMs = ptr.To(100.0)
	for n := range 40 {
		i := v1alpha1.ProbeTimeInterval{StartTime: start.Add(time.Duration(n) * 100 * time.Millisecond), Requests: 25, Answers: map[string]int{}}
		switch {
		case n < 12:
			i.Answers["us"] = 25
		case n < 27:
			i.Errors, i.NoAnswer = 25, 25
		case n == 30:
			i.Answers["us"], i.Answers["eu"], i.Errors, i.Unknown = 1, 22, 2, 2
		case n == 35:
			i.Requests = 0
		default:
			i.Answers["eu"] = 25
		}
		r.Intervals = append(r.Intervals, i)
	}
	return r
}

// A failover shows in the default view. -o wide adds the time to connect and the histogram.
func TestTimelineAndWide(t *testing.T) {
	t.Parallel()
	golden(t, "failover", failover())
	var buf bytes.Buffer
	flags := output.NewFlags()
	flags.Format = output.Wide
	if err := flags.Print(&buf, nil, Sections(failover(), true)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "wide.golden")
	if *update {
		if err := os.WriteFile(file, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), buf.String()); d != "" {
		t.Error(d)
	}
}

// Few must not look like none, nor most like all.
func TestBlock(t *testing.T) {
	t.Parallel()
	for part, want := range map[int]rune{0: '.', 1: '▁', 500: '▅', 999: '▇', 1000: '█'} {
		if got := block(part, 1000); got != want {
			t.Errorf("%d of 1000: %q, want %q", part, got, want)
		}
	}
	if block(0, 0) != ' ' {
		t.Error("an interval without requests is not blank")
	}
}
