package drill

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	members "github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// clients send a request every 10 ms from us and from eu, as an open loop does. Who answers depends on what the API server of us says: while its
// Deployment has no replicas, requests fail for a while, and then eu answers.
type clients struct {
	mesh   *testkit.Mesh
	outage time.Duration // how long requests fail after the Deployment was scaled to 0
	silent bool          // no client is ever answered
	stays  bool          // us goes on answering
	dies   time.Duration // the requests end by themselves after this time; 0 is never
	keeps  float64       // requests start late above this rate; 0 is never
	seen   func(down bool)
}

const interval = 10 * time.Millisecond

// start implements starter.
func (c *clients) start(ctx context.Context, cfg probe.Config, _ probe.Mesh, ui probe.UI, longest time.Duration) *watch {
	w := &watch{requests: map[pod][]history.Request{}, stop: make(chan struct{}), done: make(chan struct{})}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(w.done)
		doc := v1alpha1.ProbeReport{Document: v1alpha1.Document{Complete: c.dies == 0}}
		for _, name := range []string{"us", "eu"} {
			doc.Members = append(doc.Members, v1alpha1.Member{Name: name})
			doc.Clients = append(doc.Clients, v1alpha1.ProbeClient{Name: name, Cluster: name, Pod: "client", Node: name + "-node", Tool: "curl", Complete: c.dies == 0})
		}
		if cfg.Recorder != nil {
			cfg.Recorder.Begin(doc, nil)
		}
		log := &history.Log{}
		c.send(ctx, w, longest, func(r history.Request) {
			if c.keeps > 0 && cfg.Send.Rate > c.keeps {
				r.Lag = time.Second
			}
			w.observe(r)
			log.Add(r)
			if cfg.Recorder != nil {
				cfg.Recorder.Request(r)
			}
		})
		if c.keeps > 0 && cfg.Send.Rate > c.keeps {
			ui.Warn("the pods kept no request of --rate %v", cfg.Send.Rate)
		}
		summary.Fill(&doc, log)
		w.report = &probe.Report{Document: doc, Requests: log}
		if c.dies > 0 {
			w.err = errors.New("the connection was lost")
		}
	}()
	return w
}

func (c *clients) send(ctx context.Context, w *watch, longest time.Duration, observe func(history.Request)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	begun, down := time.Now(), time.Time{}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-w.stop:
			return
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(begun) > longest || c.dies > 0 && now.Sub(begun) > c.dies {
			return
		}
		d, err := c.mesh.API["us"].AppsV1().Deployments("shop").Get(ctx, "web", metav1.GetOptions{})
		switch {
		case err != nil: // the API server is gone; the datapath is as it was
		case *d.Spec.Replicas > 0:
			down = time.Time{}
		case down.IsZero():
			down = now
		}
		if c.seen != nil {
			c.seen(!down.IsZero())
		}
		for _, name := range []string{"us", "eu"} {
			observe(c.request(name, n, now, down))
		}
	}
}

func (c *clients) request(name string, n int, now, down time.Time) history.Request {
	r := history.Request{Client: name, Pod: "client", Start: now, Due: now, Duration: time.Millisecond, Measured: true, Status: 200, Cluster: []string{"us", "eu"}[n%2], Member: true}
	switch {
	case c.silent, !down.IsZero() && !c.stays && now.Sub(down) < c.outage:
		r.Cluster, r.Class, r.Status = "", reply.ClassRefused, 0
	case !down.IsZero() && !c.stays:
		r.Cluster = "eu"
	}
	return r
}

// scaleDrill is a drill of half a second on a mesh.
func scaleDrill(f *testkit.Mesh) Config {
	c := Config{Place: place(f), Write: writer(), With: drillrecord.Scale, Times: Times{Baseline: 500 * time.Millisecond, Hold: 2 * time.Second, Return: 5 * time.Second, Tail: 100 * time.Millisecond}}
	c.Probe.Clients.From = podexec.Ref{Kind: "pod", Name: "client"}
	c.RestoreWithin = 30 * time.Second
	return c
}

// A whole drill: the report has what the clients saw, and the mesh is as it was.
func TestDrill(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	c := scaleDrill(f)
	var err error
	if c.Expect, err = ParseExpectations([]string{"failover<30s", "errors=0%"}); err != nil {
		t.Fatal(err)
	}
	f.Revive()
	report, err := runWith(t.Context(), c, ui, (&clients{mesh: f, outage: 200 * time.Millisecond}).start)
	var missed *ResultError
	if !errors.As(err, &missed) || !missed.Missed {
		t.Fatalf("errors=0%% is missed: %v", err)
	}
	doc := report.Document
	if state(t, f) != before || f.Writes() != 6 || doc.State != stateRestored || !doc.Complete || doc.RepairCommand != "" || doc.Record != nil {
		t.Errorf("%s, then %s, %d writes: %+v", before, state(t, f), f.Writes(), doc)
	}
	if len(doc.Clients) != 2 || len(doc.Checks) != 6 || doc.Propagation == nil || doc.Propagation.Clients != 2 || doc.ReturnPropagation.Clients != 2 {
		t.Fatalf("%+v", doc)
	}
	for _, c := range doc.Clients {
		if *c.FailoverMs < 150 || *c.OutageMs < 100 || c.During.Errors == 0 || c.FollowedMs == nil || c.Return == nil || c.Return.FirstAnswerMs == nil || c.Before.Requests == 0 || c.After.Answers["us"] == 0 {
			t.Errorf("%+v", c)
		}
	}
	for _, k := range doc.Checks {
		if want := map[string]string{"moves away from us": "PASS", "failover<30s": "PASS", "errors=0%": "FAIL"}[k.Expectation]; k.Result != want {
			t.Errorf("%+v, want %s", k, want)
		}
	}
	for _, ch := range doc.Changes {
		if ch.Result != resultRestored {
			t.Errorf("%+v", ch)
		}
	}
}

// Clients that still use the drilled cluster when the backends are restored are a missed expectation without any flag.
func TestClientsDoNotMove(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	report, err := runWith(t.Context(), scaleDrill(f), ui, (&clients{mesh: f, stays: true}).start)
	var missed *ResultError
	if !errors.As(err, &missed) || !missed.Missed || state(t, f) != before || report.Document.Propagation.Missing != 2 {
		t.Errorf("%v, %s", err, state(t, f))
	}
}

// A failed check of a client whose requests are not complete proves nothing: the drill has no result, and does not count as missed.
func TestIncompleteIsNotMissed(t *testing.T) {
	t.Parallel()
	r := &run{sel: &members.Selection{}}
	doc := v1alpha1.DrillReport{Document: v1alpha1.Document{Complete: false}, Clients: []v1alpha1.DrillClient{{Cluster: "us", Reason: "the pod does not start its requests"}}, Checks: []v1alpha1.ProbeCheck{{Result: "FAIL"}}}
	if got := r.failure(t.Context(), &doc, nil, nil); got == nil || got.Missed || !strings.Contains(got.Error(), "the pod does not start its requests") {
		t.Errorf("%v", got)
	}
	doc.Complete = true
	if got := r.failure(t.Context(), &doc, nil, nil); got == nil || !got.Missed {
		t.Errorf("%v", got)
	}
}

// Before every client is answered, nothing is written.
func TestNoBaseline(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	f.Revive()
	report, err := runWith(t.Context(), scaleDrill(f), ui, (&clients{mesh: f, dies: 300 * time.Millisecond, silent: true}).start)
	if err == nil || !strings.Contains(err.Error(), "the connection was lost; nothing was changed") || f.Writes() != 0 || state(t, f) != before || report.Document.State != stateRefused {
		t.Errorf("%v, %d writes", err, f.Writes())
	}
}

// Requests that end while the backends are away leave no result, but the backends are restored.
func TestRequestsEnd(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	report, err := runWith(t.Context(), scaleDrill(f), ui, (&clients{mesh: f, dies: 600 * time.Millisecond}).start)
	if err == nil || !strings.Contains(err.Error(), "the connection was lost; the previous values are restored") || state(t, f) != before || report.Document.Complete || report.Document.State != stateRestored {
		t.Errorf("%v, %s", err, state(t, f))
	}
}

// Ctrl-C while the backends are away restores at once, and the report is partial.
func TestInterruptedWhileAway(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	c := scaleDrill(f)
	c.Times.Hold = 20 * time.Minute
	begun := time.Now()
	report, err := runWith(ctx, c, ui, (&clients{mesh: f, seen: func(down bool) {
		if down {
			cancel()
		}
	}}).start)
	var failed *ResultError
	if !errors.As(err, &failed) || !failed.Interrupted || err.Error() != "interrupted; the previous values are restored" || state(t, f) != before || report.Document.Complete {
		t.Errorf("%v, %s", err, state(t, f))
	}
	if took := time.Since(begun); took > 5*time.Minute {
		t.Errorf("it took %s", took)
	}
}

// An API server that is gone when the values are to be restored, and does not come back in time: the report says how to restore them, and a
// repair does.
func TestAPIServerIsLost(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	c := scaleDrill(f)
	c.RestoreWithin = 500 * time.Millisecond
	f.Break(4, testkit.CutBefore, nil) // the first write of the restoration
	report, err := runWith(t.Context(), c, ui, (&clients{mesh: f}).start)
	const command = "kubectl mesh-probe drill web -n shop --repair --in us --contexts kind-us,kind-eu"
	if err == nil || !strings.HasSuffix(err.Error(), "run: "+command) || report.Document.State != stateNotRestored || report.Document.RepairCommand != command || report.Document.Record == nil {
		t.Fatalf("%v, %+v", err, report)
	}
	if !strings.Contains(ui.String(), "the previous values are not restored yet") {
		t.Errorf("%s", ui.String())
	}
	f.Revive()
	if _, err := Repair(t.Context(), place(f), writer(), ui); err != nil || state(t, f) != before {
		t.Errorf("%v, %s", err, state(t, f))
	}
}

// A repair while the drill is under way ends it: the result proves nothing.
func TestRepairedMeanwhile(t *testing.T) {
	t.Parallel()
	f, ui := fakeMesh(t), &screen{}
	before := state(t, f)
	var once sync.Once
	var repaired error
	ticks := 0
	report, err := runWith(t.Context(), scaleDrill(f), ui, (&clients{mesh: f, seen: func(down bool) {
		if !down {
			return
		}
		if ticks++; ticks > 20 { // the writes have been read back
			once.Do(func() { _, repaired = Repair(context.Background(), place(f), writer(), &screen{}) })
		}
	}}).start)
	if repaired != nil || err == nil || !strings.Contains(err.Error(), "somebody restored the previous values meanwhile") || state(t, f) != before || report.Document.Complete || report.Document.Changes[0].Result != resultRestored {
		t.Errorf("%v, %v, %s", repaired, err, state(t, f))
	}
}
