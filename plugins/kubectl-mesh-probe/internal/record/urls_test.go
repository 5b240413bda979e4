package record

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// The clients of one pod differ by their URLs: each keeps its requests, and the replies that are attributed late.
func TestRecordOfSeveralURLs(t *testing.T) {
	t.Parallel()
	before, doc, requests := example()
	health, work := "http://nginx/health", "http://nginx/work"
	doc.Targets = []v1alpha1.ProbeTarget{{URL: health, Method: "GET"}, {URL: work, Method: "GET"}}
	doc.Target = doc.Targets[0]
	for i, url := range []string{health, work} {
		doc.Clients[i].Cluster, doc.Clients[i].Name, doc.Clients[i].URL = "us", "us", url
	}
	before.Target, before.Targets, before.Clients = doc.Target, doc.Targets, doc.Clients
	var disk bytes.Buffer
	w := NewWriter(&disk)
	w.Begin(before, nil)
	w.Mark(doc.Marks[0])
	var log history.Log
	for n, r := range requests {
		r.Client, r.URL = "us", []string{health, work}[n%4/3]
		w.Request(r)
		log.Add(r)
	}
	by := history.Client{Cluster: "us", Pod: "client-1", URL: work}
	w.Attributed(by, 1, late)
	log.Attribute(by, 1, late)
	summary.Fill(&doc, &log)
	if a, b := doc.Clients[0], doc.Clients[1]; a.Requests != 1500 || b.Requests != 500 || len(a.Outages) != 1 || len(b.Outages) != 1 || a.Outages[0].Requests <= b.Outages[0].Requests {
		t.Errorf("%d and %d requests, %+v and %+v", a.Requests, b.Requests, a.Outages, b.Outages)
	}
	if err := w.Close(doc); err != nil {
		t.Fatal(err)
	}
	rec, err := Read(&disk, false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(asJSON(t, doc), asJSON(t, rec.Report)); d != "" {
		t.Error(d)
	}
	if a, b := rec.Report.Clients[0], rec.Report.Clients[1]; b.Unknown >= a.Unknown/2 {
		t.Errorf("the late replies of %s: %d unknown, and %d of %s", b.URL, b.Unknown, a.Unknown, a.URL)
	}
}
