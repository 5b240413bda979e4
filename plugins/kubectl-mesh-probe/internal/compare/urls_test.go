package compare

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// joined is one run with the requests of several, each to its own URL.
func joined(runs map[string]Run) Run {
	out := Run{File: "several", Record: &record.Record{Log: &history.Log{}}}
	for _, url := range []string{"http://a/", "http://b/", "http://nginx/"} {
		one, found := runs[url]
		if !found {
			continue
		}
		doc := &out.Report
		doc.Document = one.Report.Document
		doc.Targets = append(doc.Targets, v1alpha1.ProbeTarget{URL: url, Method: "GET"})
		doc.Target = doc.Targets[0]
		doc.Clients = append(doc.Clients, v1alpha1.ProbeClient{Cluster: "us", Pod: "client-1", URL: url, Complete: true})
		for r := range one.Log.All() {
			r.URL = url
			out.Log.Add(r)
		}
	}
	summary.Fill(&out.Report, out.Log)
	return out
}

// Runs with several URLs are compared URL by URL. Shares that differ for one of them only are found there.
func TestCompareURLs(t *testing.T) {
	t.Parallel()
	a := joined(map[string]Run{"http://a/": simulated(1, 4000, 0.5, 0, 1), "http://b/": simulated(2, 4000, 0.5, 0, 1)})
	b := joined(map[string]Run{"http://a/": simulated(3, 4000, 0.5, 0, 1), "http://b/": simulated(4, 4000, 0.7, 0, 1)})
	doc := compared(t, a, b)
	if len(doc.Warnings) > 0 || doc.Result != Different {
		t.Errorf("%s, %q", doc.Result, doc.Warnings)
	}
	if d := cmp.Diff([]string{"http://a/", "http://b/"}, doc.A.URLs); d != "" {
		t.Error(d)
	}
	for _, m := range doc.Metrics {
		if want := m.URL == "http://b/" && m.Metric == share; (m.Result == Different) != want {
			t.Errorf("%+v", m)
		}
	}
	if same := compared(t, a, a); same.Result != Same {
		t.Errorf("%s: %q", same.Result, same.Warnings)
	}
}

// A URL that only one run has is not compared, and a warning says so.
func TestCompareOtherURLs(t *testing.T) {
	t.Parallel()
	one := simulated(1, 4000, 0.5, 0, 1) // its only URL is http://nginx/
	two := joined(map[string]Run{"http://a/": simulated(2, 4000, 0.5, 0, 1), "http://nginx/": simulated(1, 4000, 0.5, 0, 1)})
	doc := compared(t, one, two)
	if len(doc.Warnings) != 1 || doc.Warnings[0] != "only several has requests of clients in cluster us, http://a/" || doc.Result != Inconclusive {
		t.Errorf("%s, %q", doc.Result, doc.Warnings)
	}
	if len(doc.Metrics) == 0 || doc.Metrics[0].URL != "http://nginx/" || doc.A.URLs != nil || len(doc.B.URLs) != 2 {
		t.Errorf("%+v", doc)
	}
	other := joined(map[string]Run{"http://a/": simulated(2, 400, 0.5, 0, 1), "http://b/": simulated(1, 400, 0.5, 0, 1)})
	if _, err := Compare(one, other, defaults); err == nil || !strings.Contains(err.Error(), "no cluster has clients with requests to the same URL in both") {
		t.Errorf("%v", err)
	}
	moved := joined(map[string]Run{"http://a/": simulated(3, 4000, 0.5, 0, 1), "http://nginx/": simulated(4, 4000, 0.5, 0, 1)})
	moved.Report.Targets[1].Service = "shop/nginx"
	if doc := compared(t, two, moved); len(doc.Warnings) != 1 || !strings.Contains(doc.Warnings[0], "the runs call different targets: GET of no Service and GET of Service shop/nginx") {
		t.Errorf("%q", doc.Warnings)
	}
}

// Merged runs keep their URLs apart.
func TestMergeURLs(t *testing.T) {
	t.Parallel()
	a := joined(map[string]Run{"http://a/": simulated(1, 300, 0.5, 0, 1), "http://b/": simulated(2, 500, 0.5, 0, 1)})
	b := joined(map[string]Run{"http://a/": simulated(3, 30, 0.5, 0, 1), "http://b/": simulated(4, 50, 0.5, 0, 1)})
	a.File, b.File = "a", "b"
	a.Report.Checks = []v1alpha1.ProbeCheck{{Client: "us", URL: "http://b/", Expectation: "us=50%", Result: "PASS"}}
	got, err := Merge([]Run{a, b})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Report.Clients
	if len(c) != 2 || c[0].Requests != 330 || c[1].Requests != 550 || c[0].URL != "http://a/" || len(got.Report.Targets) != 2 || got.Report.Checks[0].URL != "http://b/" {
		t.Errorf("%+v", got.Report)
	}
	if _, err := Merge([]Run{a, simulated(5, 30, 0.5, 0, 1)}); err == nil || err.Error() != "the runs have different targets: GET http://a/, GET http://b/ in a, GET http://nginx/ in run" {
		t.Errorf("%v", err)
	}
}
