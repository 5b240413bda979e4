package summary

import (
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

var start = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// mesh is a report before its requests are known.
func mesh(pods ...string) v1alpha1.ProbeReport {
	doc := v1alpha1.ProbeReport{Document: v1alpha1.Document{Members: []v1alpha1.Member{{Name: "us"}, {Name: "eu"}}}}
	for _, p := range pods {
		doc.Clients = append(doc.Clients, v1alpha1.ProbeClient{Cluster: "us", Pod: p})
	}
	return doc
}

// request is number n of a run. Every tenth is not answered.
func request(n int, pod string) history.Request {
	r := history.Request{Client: "us", Pod: pod, Start: start.Add(time.Duration(n) * time.Millisecond), Duration: time.Duration(1+n%100) * time.Millisecond, Measured: true, Status: 200}
	switch {
	case n%10 == 0:
		r.Status, r.Class, r.Measured = 0, reply.ClassRefused, false
	case n%3 == 0:
		r.Cluster, r.Member, r.Connect = "eu", true, 20*time.Millisecond
	default:
		r.Cluster, r.Member, r.Connect = "us", true, time.Millisecond
	}
	return r
}

// The latency over all clients and clusters counts every answer once, and the intervals every request.
func TestFillOverAll(t *testing.T) {
	t.Parallel()
	doc := mesh("a", "b")
	var log history.Log
	for n := range 6000 {
		log.Add(request(n, []string{"a", "b"}[n/30%2]))
	}
	stranger := request(1, "c") // of a pod that is not in the report
	log.Add(stranger)
	Fill(&doc, &log)
	if l := doc.LatencyMs; l.Count != 5400 || l.Min != 2 || l.Max != 100 || *l.P99 != 100 {
		t.Errorf("latency %+v", l)
	}
	if c := doc.ConnectMs; c.Count != 5400 || *c.P50 != 1 || *c.P95 != 20 {
		t.Errorf("connect %+v", c)
	}
	sum := v1alpha1.ProbeTimeInterval{Answers: map[string]int{}}
	for _, i := range doc.Intervals {
		sum.Requests += i.Requests
		sum.Errors += i.Errors
		sum.NoAnswer += i.NoAnswer
		for name, n := range i.Answers {
			sum.Answers[name] += n
		}
	}
	if sum.Requests != 6000 || sum.Errors != 600 || sum.NoAnswer != 600 || sum.Answers["us"] != 3600 || sum.Answers["eu"] != 1800 || *doc.IntervalMs != 100 || len(doc.Intervals) != 60 {
		t.Errorf("%d intervals of %v ms: %+v", len(doc.Intervals), *doc.IntervalMs, sum)
	}
	for _, c := range doc.Clients {
		if c.Requests != 3000 || c.NoAnswer != 300 || c.LatencyMs.Count != 2700 || len(c.Intervals) != len(doc.Intervals) {
			t.Errorf("%s: %d requests, %d intervals", c.Pod, c.Requests, len(c.Intervals))
		}
	}
}

// Filling a report again changes nothing, so that a record can be read as it was written.
func TestFillAgain(t *testing.T) {
	t.Parallel()
	doc := mesh("a")
	var log history.Log
	for n := range 100 {
		log.Add(request(n, "a"))
	}
	Fill(&doc, &log)
	Fill(&doc, &log)
	if c := doc.Clients[0]; c.Requests != 100 || len(c.Answers) != 2 || c.Answers[0].Requests != 60 {
		t.Errorf("%+v", c.Answers)
	}
	var none history.Log
	Fill(&doc, &none)
	if c := doc.Clients[0]; c.Requests != 0 || doc.LatencyMs != nil || doc.Intervals != nil || c.Intervals != nil || c.Answers[0].Share != 0 {
		t.Errorf("without requests: %+v", doc)
	}
}

// A million requests must be no burden.
func TestFillAMillion(t *testing.T) {
	doc := mesh("a")
	var log history.Log
	for n := range 1_000_000 {
		log.Add(request(n, "a"))
	}
	began := time.Now()
	Fill(&doc, &log)
	t.Logf("%d requests in %s", log.Len(), time.Since(began))
	if doc.Clients[0].Requests != 1_000_000 || len(doc.Intervals) < 20 || len(doc.Intervals) > 60 {
		t.Errorf("%d requests, %d intervals", doc.Clients[0].Requests, len(doc.Intervals))
	}
}
