package compare

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

var defaults = Options{Share: 0.05, Errors: 0.01, Latency: 0.2, Confidence: 0.95}

// simulated is a run of n requests: us answers a part of them, some fail, and latency is a factor.
func simulated(seed uint64, n int, us, failing, latency float64) Run {
	random := rand.New(rand.NewPCG(seed, 7))
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	log := &history.Log{}
	for i := range n {
		r := history.Request{Client: "us", Pod: "client-1", Start: start.Add(time.Duration(i) * time.Millisecond), Status: 200, Measured: true}
		r.Duration = time.Duration(latency * (5 + 5*random.ExpFloat64()) * float64(time.Millisecond))
		r.Cluster, r.Member = "eu", true
		if random.Float64() < us {
			r.Cluster = "us"
		}
		if random.Float64() < failing {
			r.Status, r.Class, r.Cluster, r.Member, r.Measured = 0, reply.ClassRefused, "", false, false
		}
		log.Add(r)
	}
	doc := v1alpha1.ProbeReport{
		Document: v1alpha1.Document{Complete: true, Members: []v1alpha1.Member{{Name: "us"}, {Name: "eu"}}},
		Target:   v1alpha1.ProbeTarget{URL: "http://nginx/", Method: "GET"}, Clients: []v1alpha1.ProbeClient{{Cluster: "us", Pod: "client-1", Complete: true}},
	}
	summary.Fill(&doc, log)
	return Run{File: "run", Record: &record.Record{Report: doc, Log: log}}
}

func compared(t *testing.T, a, b Run) v1alpha1.ProbeComparison {
	t.Helper()
	doc, err := Compare(a, b, defaults)
	if err != nil {
		t.Fatal(err)
	}
	documents.CheckValue(t, doc)
	return doc
}

// Equal runs are never called different in more than 5 % of all comparisons, and large ones are the same. Runs that differ are found.
func TestCompareIsRight(t *testing.T) {
	t.Parallel()
	const runs = 60
	for name, c := range map[string]struct {
		n                    int
		us, failing, latency float64 // of the second run; the first one has 0.5, 0.002 and 1
		want                 string
		atLeast              int
	}{
		"the same":        {6000, 0.5, 0.002, 1, Same, runs - 3},
		"another share":   {4000, 0.6, 0.002, 1, Different, runs - 1},
		"more errors":     {4000, 0.5, 0.03, 1, Different, runs - 1},
		"slower":          {4000, 0.5, 0.002, 1.5, Different, runs - 1},
		"a little slower": {6000, 0.5, 0.002, 1.03, Same, runs - 6},
		"too few":         {100, 0.5, 0.002, 1, Inconclusive, runs - 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := map[string]int{}
			for i := range uint64(runs) {
				got[compared(t, simulated(i, c.n, 0.5, 0.002, 1), simulated(1000+i, c.n, c.us, c.failing, c.latency)).Result]++
			}
			if got[c.want] < c.atLeast || c.want != Different && got[Different] > 3 {
				t.Errorf("%v, want %s at least %d times", got, c.want, c.atLeast)
			}
		})
	}
}

// A cluster that answers in one run only is a difference, however small its share.
func TestCompareANewCluster(t *testing.T) {
	t.Parallel()
	doc := compared(t, simulated(1, 5000, 1, 0, 1), simulated(2, 5000, 0.98, 0, 1))
	if doc.Result != Different {
		t.Errorf("%+v", doc.Metrics)
	}
	for _, m := range doc.Metrics {
		if m.Metric == share && m.Cluster == "eu" && (m.Result != Different || !strings.Contains(m.Reason, "one of the runs only") || m.PValue == nil || *m.PValue > 1e-6) {
			t.Errorf("%+v", m)
		}
	}
}

// A run that was not complete is never the same.
func TestCompareIncomplete(t *testing.T) {
	t.Parallel()
	a, b := simulated(1, 6000, 0.5, 0, 1), simulated(2, 6000, 0.5, 0, 1)
	b.Report.Complete = false
	if doc := compared(t, a, b); doc.Result != Inconclusive || doc.Complete || len(doc.Warnings) != 1 {
		t.Errorf("%s: %q", doc.Result, doc.Warnings)
	}
}

// What was not compared is never the same, and a warning says what it is.
func TestCompareNeverSkipsSilently(t *testing.T) {
	t.Parallel()
	alter := func(r *Run, f func(*history.Request)) {
		log := &history.Log{}
		for one := range r.Log.All() {
			f(&one)
			log.Add(one)
		}
		r.Log = log
	}
	for name, c := range map[string]struct {
		change func(a, b *Run)
		want   string
	}{
		"another URL":        {func(_, b *Run) { b.Report.Target.URL = "http://other/" }, "the runs call different URLs"},
		"another method":     {func(_, b *Run) { b.Report.Target.Method = "HEAD" }, "the runs call different targets: GET of no Service and HEAD of no Service"},
		"another Service":    {func(_, b *Run) { b.Report.Target.Service, b.Report.Target.Port = "shop/nginx", 80 }, "GET of Service shop/nginx port 80"},
		"a tool without one": {func(_, b *Run) { alter(b, func(r *history.Request) { r.Measured = false }) }, "p95 of all answers was not compared: it requires 200 measured answers in each run, and run has 6000, run has 0; use a client pod with curl, or --rate (bodies above 32 KiB require --rate)"},
		"neither measures": {func(a, b *Run) {
			alter(a, func(r *history.Request) { r.Measured = false })
			alter(b, func(r *history.Request) { r.Measured = false })
		}, "p50 of all answers was not compared"},
		"few of one cluster": {func(_, b *Run) {
			alter(b, func(r *history.Request) { r.Measured = r.Cluster == "us" })
		}, "p95 of the answers of eu was not compared: it requires 200 measured answers in each run, and run has "},
		"clients in one only": {func(a, _ *Run) {
			n := 0
			alter(a, func(r *history.Request) {
				if n++; n%10 == 0 {
					r.Client = "ap"
				}
			})
		}, "only run has requests of clients in cluster ap"},
		"clients that sent nothing": {func(a, b *Run) {
			silent := v1alpha1.ProbeClient{Cluster: "ap", Pod: "client-1", Complete: true}
			a.Report.Clients, b.Report.Clients = append(a.Report.Clients, silent), append(b.Report.Clients, silent)
		}, "no client in cluster ap sent a request"},
		"other clients": {func(_, b *Run) { alter(b, func(r *history.Request) { r.Client = "eu" }) }, "the clients are in different clusters: us and eu"},
	} {
		a, b := simulated(1, 6000, 0.5, 0, 1), simulated(2, 6000, 0.5, 0, 1)
		if doc := compared(t, a, b); doc.Result != Same || len(doc.Warnings) > 0 {
			t.Fatalf("%s, %q", doc.Result, doc.Warnings)
		}
		c.change(&a, &b)
		doc := compared(t, a, b)
		if doc.Result != Inconclusive || !strings.Contains(strings.Join(doc.Warnings, "\n"), c.want) {
			t.Errorf("%s: %s, %q", name, doc.Result, doc.Warnings)
		}
	}
}

// Nobody knows how requests that were not sent would have ended: a result must hold however they would have.
func TestCompareNotSent(t *testing.T) {
	t.Parallel()
	fast, slow := simulated(1, 6000, 0.5, 0, 1), simulated(2, 6000, 0.5, 0, 2)
	const many = "it depends on the requests that were not sent"
	for name, c := range map[string]struct {
		a, b                   Run
		dropped                int
		want                   string
		errors, shares, slower string // the reasons of errors, of the share of us, and of p95
	}{
		"a few":                         {fast, simulated(2, 6000, 0.5, 0, 1), 3, Same, "", "", ""},
		"more than errors may differ":   {fast, simulated(2, 6000, 0.5, 0, 1), 90, Inconclusive, many, "", ""},
		"more than all may differ":      {fast, simulated(2, 6000, 0.5, 0, 1), 600, Inconclusive, many, many, many},
		"slower, and a few":             {fast, slow, 3, Different, "", "", ""},
		"slower, whatever was so":       {fast, slow, 200, Different, many, "", ""},
		"shares differ, and a few":      {fast, simulated(2, 6000, 0.7, 0, 1), 3, Different, "", "", ""},
		"shares differ, and a lot":      {fast, simulated(2, 6000, 0.6, 0, 1), 3000, Inconclusive, many, many, many},
		"a difference that can turn":    {simulated(1, 3000, 0.4, 0, 1), simulated(2, 3000, 0.6, 0, 1), 9000, Inconclusive, many, many, many},
		"errors differ whatever was so": {fast, simulated(2, 6000, 0.5, 0.2, 1), 60, Different, "", "", ""},
	} {
		for _, second := range []bool{false, true} {
			a, b := c.a, c.b
			one := &b
			if !second {
				one = &a
			}
			record := *one.Record
			record.Report.Clients = slices.Clone(record.Report.Clients)
			record.Report.Clients[0].Schedule = &v1alpha1.ProbeSchedule{Planned: record.Log.Len() + c.dropped, Dropped: c.dropped}
			one.Record = &record
			doc := compared(t, a, b)
			if doc.Result != c.want || len(doc.Warnings) != 1 || !strings.Contains(doc.Warnings[0], "were not sent, and it is unknown how they would have ended") {
				t.Errorf("%s, second run: %v: %s, %q", name, second, doc.Result, doc.Warnings)
			}
			for _, m := range doc.Metrics {
				want, judged := map[string]string{errorRate: c.errors, share + "us": c.shares, p95: c.slower}[m.Metric+m.Cluster]
				if judged && m.Reason != want {
					t.Errorf("%s, second run: %v: %s: %s, %q, want %q", name, second, m.Metric, m.Result, m.Reason, want)
				}
			}
		}
	}
}

func TestCompareClients(t *testing.T) {
	t.Parallel()
	a, b := simulated(1, 300, 0.5, 0, 1), simulated(2, 300, 0.5, 0, 1)
	moved := &history.Log{}
	for r := range b.Log.All() {
		r.Client = "eu"
		moved.Add(r)
	}
	b.Log = moved
	doc := compared(t, a, b)
	if len(doc.Warnings) != 1 || !strings.Contains(doc.Warnings[0], "different clusters: us and eu") || len(doc.Metrics) == 0 {
		t.Errorf("%q", doc.Warnings)
	}
	both := &history.Log{}
	for r := range a.Log.All() {
		r.Client = []string{"ap", "us"}[both.Len()%2]
		both.Add(r)
	}
	a.Log = both
	if _, err := Compare(a, b, defaults); err == nil || !strings.Contains(err.Error(), "nothing in common") {
		t.Errorf("%v", err)
	}
}
