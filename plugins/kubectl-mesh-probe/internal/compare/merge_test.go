package compare

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// Merged runs have the sum of all counts.
func TestMerge(t *testing.T) {
	t.Parallel()
	a, b := simulated(1, 300, 0.5, 0.1, 1), simulated(2, 500, 0.9, 0, 1)
	b.File = "other"
	a.Report.Checks = []v1alpha1.ProbeCheck{{Client: "us", Expectation: "us=50%", Result: "FAIL"}}
	half := 0.5
	a.Report.Clients[0].Answers[0].ExpectedShare = &half
	got, err := Merge([]Run{a, b})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Report.Clients[0]
	if len(got.Report.Clients) != 1 || c.Requests != 800 || c.NoAnswer != a.Report.Clients[0].NoAnswer || got.Log.Len() != 800 {
		t.Errorf("%+v", c)
	}
	for i, answer := range c.Answers {
		if want := a.Report.Clients[0].Answers[i].Requests + b.Report.Clients[0].Answers[i].Requests; answer.Requests != want || answer.ExpectedShare != nil {
			t.Errorf("%s: %d requests, want %d", answer.Name, answer.Requests, want)
		}
	}
	if c.PredictionMessage == "" || got.Report.Checks[0].Expectation != "us=50% (run)" || got.Report.Checks[0].Result != "FAIL" {
		t.Errorf("%q, %+v", c.PredictionMessage, got.Report.Checks)
	}
	if a.Report.Clients[0].Requests != 300 || a.Report.Clients[0].Answers[0].ExpectedShare == nil {
		t.Error("merging changed one of the runs")
	}
	b.Report.Target.URL = "http://other/"
	if _, err := Merge([]Run{a, b}); err == nil || !strings.Contains(err.Error(), "different targets") {
		t.Errorf("%v", err)
	}
}

// marked is a run that started later, with a client pod of that name, and with a mark in the middle and one at the end.
func marked(r Run, later time.Duration, pod string) Run {
	log := &history.Log{}
	for one := range r.Log.All() {
		one.Start, one.Pod = one.Start.Add(later), pod
		log.Add(one)
	}
	first, last := log.Span()
	doc := r.Report
	doc.Clients = []v1alpha1.ProbeClient{{Cluster: "us", Pod: pod, Complete: true}}
	doc.Marks = []v1alpha1.ProbeMark{{Time: first.Add(last.Sub(first) / 2), Text: "begins"}, {Time: last.Add(time.Minute), Text: "end"}}
	summary.Fill(&doc, log)
	return Run{File: r.File, Record: &record.Record{Report: doc, Log: log}}
}

// A mark applies to its run only: the time between two runs is not an outage.
func TestMergeMarks(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	monday, tuesday, other := marked(simulated(1, 300, 0.5, 0.1, 1), 0, "client-1"), marked(simulated(2, 300, 1, 0.1, 1), day, "client-1"), marked(simulated(3, 300, 0.5, 0, 1), 2*day, "client-2")
	outages := func(runs ...Run) []v1alpha1.ProbeOutage {
		var out []v1alpha1.ProbeOutage
		for _, r := range runs {
			out = append(out, r.Report.Clients[0].Outages...)
		}
		return out
	}
	merge := func(runs ...Run) Run {
		rec, err := Merge(runs)
		if err != nil {
			t.Fatal(err)
		}
		return Run{Record: rec}
	}
	for name, got := range map[string]Run{"at once": merge(monday, tuesday, other), "one after the other": merge(merge(monday, tuesday), other), "in another order": merge(other, merge(tuesday, monday))} {
		summary.Fill(&got.Report, got.Log) // as reading the record does
		clients := map[string][]v1alpha1.ProbeOutage{}
		for _, c := range got.Report.Clients {
			clients[c.Pod] = c.Outages
		}
		want := map[string][]v1alpha1.ProbeOutage{"client-1": outages(monday, tuesday), "client-2": outages(other)}
		if d := cmp.Diff(want, clients); d != "" || len(clients["client-1"]) != 2 || clients["client-1"][1].GapMs > 1000 {
			t.Errorf("%s: %s", name, d)
		}
	}
	if monday.Report.Marks[0].RunEndTime != nil {
		t.Error("merging changed one of the runs")
	}
}

// concurrent is a run of 10 s with a request every 20 ms, after the others, from one pod. It has no answer between two moments, and marks at others.
func concurrent(cluster string, begins, from, to time.Duration, marks ...time.Duration) Run {
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	log := &history.Log{}
	for at := begins; at < begins+10*time.Second; at += 20 * time.Millisecond {
		r := history.Request{Client: cluster, Pod: "client", Start: start.Add(at), Duration: time.Millisecond, Measured: true, Status: 200, Cluster: "us", Member: true}
		if at >= from && at < to {
			r.Status, r.Class, r.Cluster, r.Member = 0, reply.ClassRefused, "", false
		}
		log.Add(r)
	}
	doc := v1alpha1.ProbeReport{
		Document: v1alpha1.Document{Complete: true, Members: []v1alpha1.Member{{Name: "us"}, {Name: "eu"}}},
		Target:   v1alpha1.ProbeTarget{URL: "http://nginx/", Method: "GET"}, Clients: []v1alpha1.ProbeClient{{Name: cluster, Cluster: cluster, Pod: "client", Complete: true}},
	}
	for _, m := range marks {
		doc.Marks = append(doc.Marks, v1alpha1.ProbeMark{Time: start.Add(m), Text: "scale"})
	}
	summary.Fill(&doc, log)
	return Run{File: cluster, Record: &record.Record{Report: doc, Log: log}}
}

// Of runs that overlap, a mark applies to the clients of its run, until the next mark of its run.
func TestMergeMarksOfRunsThatOverlap(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, c := range map[string]struct{ a, b Run }{
		"one starts after the other's mark": {concurrent("us", 0, 3*s, 5*s, 3*s), concurrent("eu", 5*s, 0, 0)},
		"both have a mark for the event":    {concurrent("us", 0, 3*s, 5*s, 3*s, 9*s), concurrent("eu", s, 3*s, 5*s, 3200*time.Millisecond, 6*s)},
	} {
		rec, err := Merge([]Run{c.a, c.b})
		if err != nil {
			t.Fatal(err)
		}
		summary.Fill(&rec.Report, rec.Log) // as reading the record does
		documents.CheckValue(t, rec.Report)
		for i, r := range []Run{c.a, c.b} {
			if d := cmp.Diff(r.Report.Clients[0].Outages, rec.Report.Clients[i].Outages); d != "" {
				t.Errorf("%s: client in %s: %s", name, r.File, d)
			}
		}
		if gap := rec.Report.Clients[0].Outages[0].GapMs; gap < 1990 || gap > 2030 {
			t.Errorf("%s: %v ms", name, gap)
		}
	}
}

// A request counts once: neither a run twice, nor a run and the sum that it is a part of. Nothing is joined then.
func TestMergeNothingTwice(t *testing.T) {
	t.Parallel()
	a, b := simulated(1, 300, 0.5, 0.1, 1), simulated(2, 500, 0.9, 0, 1)
	a.File, b.File = "a", "b"
	copied := a
	copied.File = "copy"
	both, err := Merge([]Run{b, a})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		runs []Run
		want string
	}{
		"the same file": {[]Run{a, a}, "a and a have the same requests"},
		"a copy":        {[]Run{b, a, copied}, "a and copy have the same requests"},
		"a part":        {[]Run{{File: "sum", Record: both}, a}, "sum and a have the same requests"},
		"the whole":     {[]Run{a, {File: "sum", Record: both}}, "a and sum have the same requests"},
	} {
		if rec, err := Merge(c.runs); err == nil || !strings.Contains(err.Error(), c.want) || rec != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The schedule of a client is that of all its runs, and so is what its agents had.
func TestMergeSchedules(t *testing.T) {
	t.Parallel()
	a, b := simulated(1, 100, 1, 0, 1), simulated(2, 100, 1, 0, 1)
	for i, r := range []*Run{&a, &b} {
		log := &history.Log{}
		for one := range r.Log.All() {
			one.Due, one.Lag = one.Start, time.Duration(1+i*9)*time.Millisecond
			log.Add(one)
		}
		r.Log = log
		r.Report.Clients[0].Schedule = &v1alpha1.ProbeSchedule{Planned: 100 + i, Late: 2, Dropped: i}
		r.Report.Witnesses = []v1alpha1.ProbeWitness{{Cluster: "us"}}
		summary.Fill(&r.Report, r.Log)
	}
	got, err := Merge([]Run{a, b})
	if err != nil {
		t.Fatal(err)
	}
	s := got.Report.Clients[0].Schedule
	if s == nil || s.Planned != 201 || s.Late != 4 || s.Dropped != 1 || s.LagMs == nil || s.LagMs.Max != 10 || s.LagMs.P99 != 10 || len(got.Report.Witnesses) != 2 {
		t.Errorf("%+v, lag %+v, %d witnesses", s, s.LagMs, len(got.Report.Witnesses))
	}
	if s := a.Report.Clients[0].Schedule; s.Planned != 100 || s.LagMs.Max != 1 {
		t.Errorf("merging changed one of the runs: %+v", s)
	}
}
