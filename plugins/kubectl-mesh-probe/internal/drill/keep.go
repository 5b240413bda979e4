package drill

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// keep adds the intervals to the document, and gives the report what is recorded of the requests: the report of a probe with the moments of the drill as
// marks, and the checks of the drill. Without a request there is nothing to keep.
func (r *run) keep(report *Report) {
	if r.watch == nil || r.watch.report == nil || r.watch.report.Requests == nil || r.watch.report.Requests.Len() == 0 {
		return
	}
	doc, kept := &report.Document, r.watch.report.Document
	kept.Clients, kept.Marks, kept.Checks = slices.Clone(kept.Clients), r.probeMarks(), r.probeChecks(*doc)
	kept.Complete = kept.Complete && doc.Complete
	summary.Fill(&kept, r.watch.report.Requests)
	report.Probe, report.Requests = &kept, r.watch.report.Requests
	doc.IntervalMs, doc.Intervals = kept.IntervalMs, kept.Intervals
	for i := range doc.Clients {
		c := &doc.Clients[i]
		for _, p := range kept.Clients {
			if p.Cluster == c.Cluster && p.Pod == c.Pod {
				c.Intervals = p.Intervals
			}
		}
	}
}

// pendingRecord keeps what is recorded until it is certain that it belongs to the drill: requests of a baseline that begins again do not.
type pendingRecord struct {
	mu    sync.Mutex
	to    probe.Recorder // may be nil
	calls []func()
	done  bool // everything is recorded at once
}

func (p *pendingRecord) do(call func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		call()
		return
	}
	p.calls = append(p.calls, call)
}

// release records what was kept, and from then on everything at once.
func (p *pendingRecord) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, call := range p.calls {
		call()
	}
	p.calls, p.done = nil, true
}

// Begin implements probe.Recorder.
func (p *pendingRecord) Begin(doc v1alpha1.ProbeReport, checks []string) {
	p.do(func() { p.to.Begin(doc, checks) })
}

// Request implements probe.Recorder.
func (p *pendingRecord) Request(r history.Request) { p.do(func() { p.to.Request(r) }) }

// Attributed implements probe.Recorder.
func (p *pendingRecord) Attributed(by history.Client, reply int, from origin.Match) {
	p.do(func() { p.to.Attributed(by, reply, from) })
}

// Mark implements probe.Recorder.
func (p *pendingRecord) Mark(m v1alpha1.ProbeMark) { p.do(func() { p.to.Mark(m) }) }

// probeMarks are the moments of the drill that were reached.
func (r *run) probeMarks() []v1alpha1.ProbeMark {
	restore := r.marks.restore
	if r.marks.write.IsZero() || r.With == drillrecord.Evict { // nothing was restored
		restore = time.Time{}
	}
	var out []v1alpha1.ProbeMark
	for _, m := range []v1alpha1.ProbeMark{
		{Time: r.marks.write, Text: r.writeText()}, {Time: restore, Text: fmt.Sprintf("restore: the previous values of %s in %s", r.key, r.target.Name)}, {Time: r.marks.end, Text: "end: no more requests"},
	} {
		if !m.Time.IsZero() {
			m.Time = m.Time.UTC()
			out = append(out, m)
		}
	}
	return out
}

// writeText is the text of the first mark.
func (r *run) writeText() string {
	what := map[drillrecord.With]string{
		drillrecord.Scale: "scale the backends of %s in %s to 0", drillrecord.Evict: "evict the backends of %s in %s", drillrecord.Shared: "stop sharing the backends of %s in %s",
	}[r.With]
	return fmt.Sprintf("write: "+what, r.key, r.target.Name)
}

// recordMarks records the moments that were reached, so that a record that is cut short later has them.
func (r *run) recordMarks() {
	if r.Probe.Recorder == nil {
		return
	}
	for _, m := range r.probeMarks() {
		r.Probe.Recorder.Mark(m)
	}
}

// probeChecks are the checks of the drill, and what became of the drill itself.
func (r *run) probeChecks(doc v1alpha1.DrillReport) []v1alpha1.ProbeCheck {
	out := slices.Clone(doc.Checks)
	add := func(expr string, v judge.Verdict, reason string) {
		out = append(out, v1alpha1.ProbeCheck{Client: doc.Cluster, Expectation: expr, Result: string(v), Reason: reason})
	}
	switch {
	case doc.State == stateNotRestored && r.With == drillrecord.Evict:
		add("the record of the drill is deleted", judge.Fail, doc.Reason)
	case doc.State == stateNotRestored:
		add("the previous values are restored", judge.Fail, doc.Reason)
	case !doc.Complete:
		add("the drill is complete", judge.Inconclusive, cmp.Or(doc.Reason, "requests or clusters are missing"))
	case r.wrote() && r.With != drillrecord.Evict:
		add("the previous values are restored", judge.Pass, "")
	}
	return out
}
