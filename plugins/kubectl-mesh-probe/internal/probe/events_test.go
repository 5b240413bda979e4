package probe

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// notebook is a Recorder that keeps what it is told.
type notebook struct {
	begun    []v1alpha1.ProbeReport
	checks   []string
	requests []history.Request
	late     []string
	marks    []v1alpha1.ProbeMark
}

func (n *notebook) Begin(doc v1alpha1.ProbeReport, checks []string) {
	n.begun, n.checks = append(n.begun, doc), checks
}
func (n *notebook) Request(r history.Request) { n.requests = append(n.requests, r) }
func (n *notebook) Attributed(_ history.Client, _ int, from origin.Match) {
	n.late = append(n.late, from.Name)
}
func (n *notebook) Mark(m v1alpha1.ProbeMark) { n.marks = append(n.marks, m) }

// acting is a run of one client with an action. send counts a reply at its offset from the first request.
func acting(t *testing.T, a *Action) (r *run, send func(ms int), notes *notebook) {
	t.Helper()
	r = fieldRun(t, &screen{}, "us")
	notes = &notebook{}
	r.cfg.Action, r.cfg.Recorder = a, notes
	r.clients[0].tally = tally.New(r.mesh.members)
	start := time.Now()
	return r, func(ms int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		one := reply.Reply{Status: 200, Start: start.Add(time.Duration(ms) * time.Millisecond), Latency: time.Millisecond, Measured: true}
		r.count(r.clients[0], one, origin.Match{Name: "us", Member: true, By: origin.ByPod})
	}, notes
}

// The command starts after the baseline, which begins with the first request. Its start, its end and its exit code are marked.
func TestActionIsMarked(t *testing.T) {
	t.Parallel()
	ran := make(chan time.Time, 1)
	r, send, notes := acting(t, &Action{After: 50 * time.Millisecond, Command: "kubectl scale", Run: func(context.Context) (int, error) {
		ran <- time.Now()
		return 0, nil
	}})
	wait := r.act(t.Context())
	before := time.Now()
	send(0)
	if at := <-ran; at.Sub(before) < 50*time.Millisecond {
		t.Errorf("the command ran %s after the first request", at.Sub(before))
	}
	wait()
	if len(r.events.marks) != 1 || r.eventsFailed() != nil {
		t.Fatalf("%+v, %v", r.events.marks, r.eventsFailed())
	}
	m := r.events.marks[0]
	if m.Time.Sub(before) < 50*time.Millisecond || m.EndTime == nil || m.EndTime.Before(m.Time) || m.ExitCode == nil || *m.ExitCode != 0 || m.Command != "kubectl scale" {
		t.Errorf("%+v", m)
	}
	if len(notes.marks) != 2 || notes.marks[0].EndTime != nil || notes.marks[1].EndTime == nil || len(notes.requests) != 1 {
		t.Errorf("the record has %+v", notes.marks)
	}
	send(60_000)
	if !r.failoverMark().Equal(m.Time) {
		t.Errorf("a failover counts from %s", r.failoverMark())
	}
}

// A run whose command failed, did not start or was not due proves nothing about it.
func TestActionThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		action Action
		want   string
	}{
		"exit code": {Action{Run: func(context.Context) (int, error) { return 3, nil }}, "failed with exit code 3"},
		"no shell":  {Action{Run: func(context.Context) (int, error) { return 0, errors.New("no sh") }}, "did not run: no sh"},
		"too late":  {Action{After: time.Hour}, "the run ended before the command of --mark-on was due (--mark-after 1h0m0s)"},
	} {
		r, send, _ := acting(t, &c.action)
		wait := r.act(t.Context())
		send(0)
		if c.action.Run != nil {
			for len(marksOf(r)) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		wait()
		doc := v1alpha1.ProbeReport{Document: v1alpha1.Document{Complete: true}, Clients: []v1alpha1.ProbeClient{answering("us")}}
		if f := r.failure(doc, 0); f == nil || f.Missed || !strings.Contains(f.Error(), c.want) {
			t.Errorf("%s: %v", name, f)
		}
	}
}

func marksOf(r *run) []v1alpha1.ProbeMark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events.marks
}

// The times of --mark count from the first request, not from the first that arrived. Marks after the end are left out with a warning.
func TestMarks(t *testing.T) {
	t.Parallel()
	r, send, _ := acting(t, nil)
	r.cfg.Marks = []Mark{{After: 2 * time.Second, Text: "later"}, {Text: "start"}, {After: time.Hour, Text: "never"}}
	for _, ms := range []int{500, 0, 3000} {
		send(ms)
	}
	first, _ := r.history.Span()
	var got []string
	for _, m := range r.allMarks() {
		got = append(got, m.Text+" "+m.Time.Sub(first).String())
	}
	if !slices.Equal(got, []string{"start 0s", "later 2s"}) {
		t.Errorf("%q", got)
	}
	if text := r.ui.(*screen).String(); !strings.Contains(text, "Warning: --mark 1h0m0s=never is after the last request, which started 3.0s after the first") {
		t.Errorf("%q", text)
	}
}

// A record begins with what is known before the first request.
func TestRecordBegins(t *testing.T) {
	t.Parallel()
	r, _, notes := acting(t, nil)
	r.cfg.ExpectPrediction = true
	r.begin()
	if len(notes.begun) != 1 || !slices.Equal(notes.checks, []string{"prediction"}) {
		t.Fatalf("%+v", notes)
	}
	if doc := notes.begun[0]; doc.Target.URL != "http://web.shop:8080/" || len(doc.Clients) != 1 || doc.Clients[0].Cluster != "us" || len(doc.Members) != 1 {
		t.Errorf("%+v", doc)
	}
}
