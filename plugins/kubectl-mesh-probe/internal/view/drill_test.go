package view

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

func drillReport() v1alpha1.DrillReport {
	at := time.Date(2026, 11, 29, 12, 0, 4, 210e6, time.UTC)
	phase := func(us, eu, errors int) v1alpha1.DrillPhase {
		return v1alpha1.DrillPhase{Requests: us + eu + errors, Answers: map[string]int{"us": us, "eu": eu}, Errors: errors}
	}
	return v1alpha1.DrillReport{
		Document: v1alpha1.Document{Members: []v1alpha1.Member{{Name: "us", Context: "kind-us", Server: "https://127.0.0.1:20001"}, {Name: "eu", Context: "kind-eu"}}},
		Service:  "shop/web", Cluster: "us", With: "scale", DryRun: "none", State: "restored", HoldMs: ptr.To(10000.0), FailoverMs: ptr.To(1523.4),
		Changes:   []v1alpha1.DrillChange{{Cluster: "us", Namespace: "shop", Object: "deployment/web", Field: "spec.replicas", Before: ptr.To("2"), After: ptr.To("0"), Result: "restored"}},
		WriteTime: &at, RestoreTime: ptr.To(at.Add(10 * time.Second)),
		Shifts: []v1alpha1.Shift{{Client: "eu", Port: v1alpha1.Port{Port: 80}, Complete: true, Shares: []v1alpha1.ShareShift{{Cluster: "us", Before: 0.5}, {Cluster: "eu", Before: 0.5, After: 1}, {Cluster: "ap"}}}},
		Clients: []v1alpha1.DrillClient{
			{Name: "us/us-worker", Cluster: "us", Pod: "client-1", Node: "us-worker", Affected: true, Complete: true, Before: phase(76, 75, 0), During: phase(3, 420, 77), After: phase(40, 60, 0),
				LastAnswerMs: ptr.To(61.0), FirstOtherMs: ptr.To(12.0), FirstOtherCluster: "eu", FollowedMs: ptr.To(1584.0), FailoverMs: ptr.To(1523.4), Recovered: ptr.To(true), ResolutionMs: ptr.To(21.0),
				OutageMs: ptr.To(1510.0), FirstErrorMs: ptr.To(60.0), LastErrorMs: ptr.To(1550.0),
				Errors: []v1alpha1.ProbeError{
					{Class: "connect-timeout", Count: 75, FirstTime: ptr.To(at.Add(60 * time.Millisecond)), LastTime: ptr.To(at.Add(1550 * time.Millisecond))},
					{Class: "http-5xx", Cluster: "us", Count: 2, FirstTime: ptr.To(at.Add(-10 * time.Millisecond)), LastTime: ptr.To(at.Add(40 * time.Millisecond)), Message: "503"},
				},
				Return: &v1alpha1.DrillReturn{FirstAnswerMs: ptr.To(2310.0)}},
			{Name: "eu/eu-worker", Cluster: "eu", Pod: "client-2", Node: "eu-worker", Affected: true, Complete: true, Before: phase(70, 81, 0), During: phase(9, 491, 0), After: phase(50, 50, 0),
				LastAnswerMs: ptr.To(182.0), FirstOtherMs: ptr.To(4.0), FirstOtherCluster: "eu", FollowedMs: ptr.To(200.0), FailoverMs: ptr.To(24.0), Recovered: ptr.To(true), ResolutionMs: ptr.To(20.0), Return: &v1alpha1.DrillReturn{FirstAnswerMs: ptr.To(2460.0)}},
		},
		Propagation:       &v1alpha1.DrillPropagation{FirstMs: ptr.To(200.0), FirstClient: "eu/eu-worker", LastMs: ptr.To(1584.0), LastClient: "us/us-worker", Clients: 2},
		ReturnPropagation: &v1alpha1.DrillPropagation{FirstMs: ptr.To(2310.0), FirstClient: "us/us-worker", LastMs: ptr.To(2460.0), LastClient: "eu/eu-worker", Clients: 2},
		Checks: []v1alpha1.ProbeCheck{{Client: "us/us-worker", Expectation: "moves away from us", Result: "PASS", Observed: "after 1.58s"},
			{Client: "us/us-worker", Expectation: "failover<1s", Result: "FAIL", Observed: "1.52s, exact to 21ms"}},
	}
}

// TestDrillShiftNotCertain: the plan says that a prediction is not all that may happen.
func TestDrillShiftNotCertain(t *testing.T) {
	t.Setenv("COLUMNS", "120")
	for _, complete := range []bool{true, false} {
		doc := drillReport()
		doc.Shifts[0].Complete = complete
		var buf bytes.Buffer
		if err := output.NewFlags().Print(&buf, nil, DrillPlan(doc)); err != nil || strings.Contains(buf.String(), "not certain") == complete {
			t.Errorf("complete %t: %v\n%s", complete, err, buf.String())
		}
	}
}

// TestDrill compares the tables with golden files, and checks that they fit a terminal of 80 columns.
func TestDrill(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	stuck := drillReport()
	stuck.State, stuck.Reason, stuck.RepairCommand = "notRestored", "the API server is gone", "kubectl mesh-probe drill web -n shop --repair --in us --contexts kind-us,kind-eu"
	stuck.Clients[1].Complete, stuck.Clients[1].Reason, stuck.Clients[0].Recovered = false, "the connection is lost", ptr.To(false)
	stuck.Changes[0].Result = "changed"
	for name, sections := range map[string][]output.Section{
		"drill": Drill(drillReport(), false), "drill-plan": DrillPlan(drillReport()), "drill-stuck": Drill(stuck, false), "drill-wide": Drill(timed(drillReport()), true),
	} {
		var buf bytes.Buffer
		flags := output.NewFlags()
		if strings.HasSuffix(name, "wide") {
			flags.Format = output.Wide
		}
		if err := flags.Print(&buf, nil, sections); err != nil {
			t.Fatal(err)
		}
		goldenText(t, name+".golden", buf.String())
		for line := range strings.Lines(buf.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && flags.Format != output.Wide && !strings.Contains(line, "--repair") {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
	}
}

// Nothing says that a drill restored evicted pods.
func TestDrillWithEvictions(t *testing.T) {
	t.Parallel()
	r := drillReport()
	r.With, r.Complete, r.RestoreTime = "evict", true, nil
	r.Changes = []v1alpha1.DrillChange{{Cluster: "us", Namespace: "shop", Object: "pod/web-1", Result: "changed"}}
	for _, state := range []string{"restored", "notRestored"} {
		r.State = state
		want := "The drill does not replace evicted pods: their controller does."
		if state == "notRestored" {
			r.RepairCommand, want = "kubectl mesh-probe drill web --repair", "The record of the drill is NOT deleted. Run: kubectl mesh-probe drill web --repair"
		}
		var tests, metrics, table bytes.Buffer
		if err := errors.Join(DrillJUnit(&tests, r), DrillPrometheus(&metrics, r), output.NewFlags().Print(&table, nil, Drill(r, false))); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(table.String(), want) || strings.Contains(table.String(), "previous values") {
			t.Errorf("%s", table.String())
		}
		if strings.Contains(metrics.String(), "mesh_probe_drill_restored") || strings.Contains(metrics.String(), "previous values") {
			t.Errorf("%s", metrics.String())
		}
		if !strings.Contains(tests.String(), `name="done"`) || strings.Contains(tests.String(), "done and restored") || strings.Contains(tests.String(), "previous values") {
			t.Errorf("%s", tests.String())
		}
	}
}

// goldenText compares a text with a file.
func goldenText(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
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

// timed adds intervals of half a second and latencies to a report. The client in us has an outage of three intervals after the write.
func timed(r v1alpha1.DrillReport) v1alpha1.DrillReport {
	start := r.WriteTime.Add(-3 * time.Second)
	r.IntervalMs = ptr.To(500.0)
	for n := range 40 {
		i := v1alpha1.ProbeTimeInterval{StartTime: start.Add(time.Duration(n) * 500 * time.Millisecond), Requests: 25, Answers: map[string]int{"us": 12, "eu": 13}}
		if n >= 6 && n < 28 {
			i.Answers = map[string]int{"eu": 25}
		}
		r.Intervals = append(r.Intervals, i)
		r.Clients[1].Intervals = append(r.Clients[1].Intervals, i)
		if n >= 6 && n < 9 {
			i.Answers, i.NoAnswer, i.Errors = nil, 25, 25
		}
		r.Clients[0].Intervals = append(r.Clients[0].Intervals, i)
	}
	r.Clients[0].Before.LatencyMs = &v1alpha1.ProbeLatency{Count: 151, Min: 0.5, Mean: 1.2, P50: ptr.To(1.1), Max: 9}
	r.Clients[0].During.LatencyMs = &v1alpha1.ProbeLatency{Count: 423, Min: 20, Mean: 21, P50: ptr.To(20.6), P95: ptr.To(24.2), Max: 31}
	return r
}

// TestDrillFormats compares what CI and Prometheus read with golden files: of a drill that missed an expectation, and of one that was refused.
func TestDrillFormats(t *testing.T) {
	t.Parallel()
	done := drillReport()
	done.Complete = true
	refused := v1alpha1.DrillReport{Service: "shop/web", Cluster: "us", With: "scale", State: "refused", Reason: "clients in eu would have no backend"}
	for name, r := range map[string]v1alpha1.DrillReport{"drill": done, "drill-refused": refused} {
		var tests, metrics bytes.Buffer
		if err := DrillJUnit(&tests, r); err != nil {
			t.Fatal(err)
		}
		if err := DrillPrometheus(&metrics, r); err != nil {
			t.Fatal(err)
		}
		goldenText(t, name+"-junit.golden", tests.String())
		goldenText(t, name+"-prometheus.golden", metrics.String())
	}
}
