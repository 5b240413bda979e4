package probe

import (
	"fmt"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// The report is made from the history, and the checks from the tally. Both must count the same, also for replies that are attributed late.
func TestHistoryAgreesWithTheTally(t *testing.T) {
	t.Parallel()
	var ui screen
	r := fieldRun(t, &ui, "us", "eu")
	to := r.services[0]
	to.found = false // nothing is read again
	early, err := origin.Parse("body=^early from (\\S+)", nil, r.mesh.members)
	if err != nil {
		t.Fatal(err)
	}
	late, err := origin.Parse("body=from (us|eu|Cluster-9)", nil, r.mesh.members)
	if err != nil {
		t.Fatal(err)
	}
	to.senders = newRecognizer(early)
	for _, c := range r.clients {
		c.tally = tally.New(r.mesh.members)
	}
	start := time.Unix(1000, 0)
	bodies := []string{"early from us", "late from eu", "late from Cluster-9", "nobody", "early from us", ""}
	for n := range 3000 {
		one := reply.Reply{Status: 200, Body: []byte(bodies[n%len(bodies)]), Start: start.Add(time.Duration(n) * time.Millisecond), Latency: time.Duration(n) * time.Microsecond, Measured: true}
		switch n % 10 {
		case 0:
			one.Status, one.Body, one.Class, one.Message = 0, nil, reply.ClassRefused, "refused"
		case 1:
			one.Status, one.Class = 503, reply.Class5xx
		}
		c := r.clients[n/6%2]
		r.count(c, one, c.identifier().Identify(&one))
	}
	to.senders.current.Store(late)
	r.clients[0].prediction = judge.Prediction{Shares: map[string]float64{"us": 1}}
	r.mesh.selection.Members = []*clusters.Member{{Name: "us"}, {Name: "eu"}}
	doc := r.document(t.Context())
	documents.CheckValue(t, doc)
	for i, c := range r.clients {
		got, want := doc.Clients[i], c.tally
		if got.Requests != want.Requests || got.Answered != want.Answered() || got.Unknown != want.Unknown || got.UnknownErrors != want.UnknownErrors || got.NoAnswer != want.NoAnswer || got.WeakEvidence != want.Weak {
			t.Errorf("%s: the report has %d requests, %d answered, %d unknown (%d errors), %d without an answer; the tally %+v", got.Cluster, got.Requests, got.Answered, got.Unknown, got.UnknownErrors, got.NoAnswer, want)
		}
		if fmt.Sprint(got.IdentifiedBy) != fmt.Sprint(want.Recognized) {
			t.Errorf("%s: recognized by %v, the tally says %v", got.Cluster, got.IdentifiedBy, want.Recognized)
		}
		for n, row := range c.tally.Rows(r.mesh.members) {
			if a := got.Answers[n]; a.Name != row.Name || a.Requests != row.Requests || a.Errors != row.Errors || a.Member != row.Member {
				t.Errorf("%s: answer %+v, the tally has %+v", got.Cluster, a, row)
			}
		}
		classes, all := map[string]int{}, 0
		for _, e := range got.Errors {
			classes[e.Class] += e.Count
		}
		for _, e := range want.Errors() {
			if classes[string(e.Class)] != e.Count {
				t.Errorf("%s: %d errors of class %s, the tally has %d", got.Cluster, classes[string(e.Class)], e.Class, e.Count)
			}
		}
		for _, x := range got.Intervals {
			all += x.Requests
		}
		if all != want.Requests || len(got.Answers) != 3 || got.Answers[1].Requests == 0 || want.Unknown == 0 {
			t.Errorf("%s: %d requests in intervals, answers %+v", got.Cluster, all, got.Answers)
		}
	}
	if doc.Clients[0].Errors[0].Cluster != "us" || !doc.Clients[0].Errors[0].Predicted || doc.Clients[1].Errors[0].Cluster != "" {
		t.Errorf("errors without a reply: %+v, %+v", doc.Clients[0].Errors[0], doc.Clients[1].Errors[0])
	}
	if n := len(doc.Intervals); n < 20 || n > 60 || doc.LatencyMs.Count != 2700 {
		t.Errorf("%d intervals, %d latencies", n, doc.LatencyMs.Count)
	}
}
