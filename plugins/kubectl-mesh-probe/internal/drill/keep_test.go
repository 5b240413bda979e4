package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/compare"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
)

// The record of a drill has its moments and its checks, is read as any other, and compares with itself as the same.
func TestDrillRecord(t *testing.T) {
	t.Parallel()
	f := fakeMesh(t)
	c := scaleDrill(f)
	var disk bytes.Buffer
	w := record.NewWriter(&disk)
	c.Probe.Recorder = w
	report := drilled(t, c, &clients{mesh: f, outage: 300 * time.Millisecond})
	w.Flush()
	cut, err := record.Read(bytes.NewReader(disk.Bytes()), true)
	if err != nil || len(cut.Report.Marks) != 2 || cut.Report.Marks[0].Text != "write: scale the backends of shop/web in us to 0" {
		t.Errorf("the record of a drill that was killed: %v, %+v", err, cut)
	}
	if err := w.Close(*report.Probe); err != nil {
		t.Fatal(err)
	}
	rec, err := record.Read(bytes.NewReader(disk.Bytes()), false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(text(t, report.Probe), text(t, rec.Report)); d != "" {
		t.Errorf("the record is not what the drill saw: %s", d)
	}
	doc := report.Document
	if m := rec.Report.Marks; len(m) != 3 || !m[0].Time.Equal(*doc.WriteTime) || !m[1].Time.Equal(*doc.RestoreTime) || m[2].Text != "end: no more requests" || !m[2].Time.After(m[1].Time) {
		t.Errorf("%+v", m)
	}
	if k := rec.Report.Checks; len(k) != 3 || k[0].Expectation != "moves away from us" || k[2] != (v1alpha1.ProbeCheck{Client: "us", Expectation: "the previous values are restored", Result: "PASS"}) {
		t.Errorf("%+v", k)
	}
	for _, client := range rec.Report.Clients {
		// On a busy machine, requests are still under way at the last mark, which then has an entry, too.
		if len(client.Outages) < 2 || client.Outages[0].Requests == 0 || client.Outages[1].Requests == 0 {
			t.Errorf("%+v", client.Outages)
		}
	}
	run := compare.Run{File: "a", Record: rec}
	same, err := compare.Compare(run, run, compare.Options{Share: 0.2, Errors: 0.2, Latency: 0.5, Confidence: 0.95})
	if err != nil || same.Result == compare.Different || len(same.Metrics) == 0 {
		t.Errorf("%v, %+v", err, same)
	}
}

// Where nobody asked for a rate, a drill of pods that do not keep it begins again with a lower one. The record has only the requests of the drill.
func TestDrillLowersRate(t *testing.T) {
	t.Parallel()
	f := fakeMesh(t)
	c := scaleDrill(f)
	c.Probe.Send.Rate, c.LowerRates = 50, []float64{20, 10, 5}
	var disk bytes.Buffer
	w := record.NewWriter(&disk)
	c.Probe.Recorder = w
	ui := &screen{}
	report, err := runWith(t.Context(), c, ui, (&clients{mesh: f, keeps: 10}).start)
	var failed *ResultError
	if err != nil && (!errors.As(err, &failed) || len(report.Document.Checks) == 0) || report.Document.State != stateRestored {
		t.Fatal(err)
	}
	for _, note := range []string{"clients in us, eu cannot keep 50 requests per second. The baseline begins again with 20 (--rate).", "cannot keep 20 requests per second. The baseline begins again with 10 (--rate)."} {
		if strings.Count(ui.String(), note) != 1 {
			t.Errorf("%q is missing:\n%s", note, ui.String())
		}
	}
	if strings.Contains(ui.String(), "the pods kept no request") {
		t.Errorf("a warning about discarded requests:\n%s", ui.String())
	}
	if got := report.Document.RatePerSecond; got == nil || *got != 10 {
		t.Errorf("rate %v", got)
	}
	if err := w.Close(*report.Probe); err != nil {
		t.Fatal(err)
	}
	rec, err := record.Read(bytes.NewReader(disk.Bytes()), false)
	if err != nil || rec.Log.Len() != report.Requests.Len() {
		t.Errorf("%v, %+v", err, rec)
	}
}

// Where a rate was asked for, or no lower one helps, the drill refuses, and the record has the requests that show why.
func TestDrillKeepsRate(t *testing.T) {
	t.Parallel()
	for name, lower := range map[string][]float64{"asked for": nil, "no lower one helps": {20}} {
		f := fakeMesh(t)
		before, c := state(t, f), scaleDrill(f)
		c.Probe.Send.Rate, c.LowerRates = 50, lower
		var disk bytes.Buffer
		w := record.NewWriter(&disk)
		c.Probe.Recorder = w
		ui := &screen{}
		report, err := runWith(t.Context(), c, ui, (&clients{mesh: f, keeps: 1, dies: time.Duration(len(lower)+1) * 7 * time.Second}).start)
		if err == nil || report == nil || report.Document.State != stateRefused || state(t, f) != before || report.Requests == nil {
			t.Fatalf("%s: %v, %+v", name, err, report)
		}
		if strings.Count(ui.String(), "the pods kept no request") != 1 {
			t.Errorf("%s: %s", name, ui.String())
		}
		if err := w.Close(*report.Probe); err != nil {
			t.Fatal(err)
		}
		if rec, err := record.Read(bytes.NewReader(disk.Bytes()), false); err != nil || rec.Log.Len() != report.Requests.Len() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// drilled is the report of a drill that restored. On a machine without time for the clients, its checks may be inconclusive.
func drilled(t *testing.T, c Config, clients *clients) *Report {
	t.Helper()
	report, err := runWith(t.Context(), c, &screen{}, clients.start)
	var failed *ResultError
	if err != nil && (!errors.As(err, &failed) || len(report.Document.Checks) == 0) || report.Document.State != stateRestored {
		t.Fatal(err)
	}
	return report
}

func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The document has the intervals of the requests, over all clients and for each. Every request is in one.
func TestDrillIntervals(t *testing.T) {
	t.Parallel()
	f := fakeMesh(t)
	doc := drilled(t, scaleDrill(f), &clients{mesh: f, outage: 300 * time.Millisecond}).Document
	requests, errs := 0, 0
	for _, c := range doc.Clients {
		sum := 0
		for n, i := range c.Intervals {
			sum += i.Requests
			errs += i.Errors
			if !i.StartTime.Equal(doc.Intervals[n].StartTime) {
				t.Errorf("the interval begins at %s, and that of the report at %s", i.StartTime, doc.Intervals[n].StartTime)
			}
		}
		if want := c.Before.Requests + c.During.Requests + c.After.Requests; sum != want || sum == 0 {
			t.Errorf("%d of %d requests are in an interval", sum, want)
		}
		if l := c.Before.LatencyMs; l == nil || l.Count != c.Before.Requests-c.Before.Errors || l.Max != 1 || l.Histogram != nil {
			t.Errorf("%+v", l)
		}
		requests += sum
	}
	for _, i := range doc.Intervals {
		requests -= i.Requests
		errs -= i.Errors
	}
	if doc.IntervalMs == nil || requests != 0 || errs != 0 {
		t.Errorf("%d requests and %d errors more in the clients than in the report", requests, errs)
	}
}

// What is recorded of a drill that was refused, interrupted, or could not restore, never has a verdict of success.
func TestDrillRecordOfAFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		silent bool // otherwise the drill is interrupted while the backends are away
		marks  int
	}{"refused": {true, 1}, "interrupted": {false, 3}} {
		f := fakeMesh(t)
		ctx, cancel := context.WithCancel(t.Context())
		from := clients{mesh: f, silent: c.silent, seen: func(down bool) {
			if down {
				cancel()
			}
		}}
		if c.silent {
			from.dies = time.Second
		}
		drill := scaleDrill(f)
		drill.Times.Hold = time.Minute
		report, err := runWith(ctx, drill, &screen{}, from.start)
		cancel()
		var failed *ResultError
		if !errors.As(err, &failed) || report.Probe == nil || report.Probe.Complete || len(report.Probe.Marks) != c.marks {
			t.Fatalf("%s: %v, %+v", name, err, report)
		}
		if !slices.ContainsFunc(report.Probe.Checks, func(k v1alpha1.ProbeCheck) bool {
			return k.Expectation == "the drill is complete" && k.Result == "INCONCLUSIVE" && k.Reason == report.Document.Reason && k.Client == "us"
		}) {
			t.Errorf("%s: %+v", name, report.Probe.Checks)
		}
	}
	r := &run{Config: Config{With: drillrecord.Scale}}
	if k := r.probeChecks(v1alpha1.DrillReport{Cluster: "us", State: stateNotRestored, Reason: "gone"}); len(k) != 1 || k[0].Result != "FAIL" || k[0].Reason != "gone" {
		t.Errorf("%+v", k)
	}
}

// Clients are named by their node, and by their pod where several are on one node.
func TestClientNames(t *testing.T) {
	t.Parallel()
	var clients []observation
	for _, c := range []v1alpha1.DrillClient{
		{Cluster: "us", Node: "n1", Pod: "a"}, {Cluster: "us", Node: "n1", Pod: "b"}, {Cluster: "us", Node: "n2", Pod: "c"}, {Cluster: "eu", Node: "n1", Pod: "d"}, {Cluster: "ap", Pod: "e"},
	} {
		clients = append(clients, observation{DrillClient: c})
	}
	nameClients(clients)
	for i, want := range []string{"us/a", "us/b", "us/n2", "eu/n1", "ap/e"} {
		if clients[i].Name != want {
			t.Errorf("%s, want %s", clients[i].Name, want)
		}
	}
}
