package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// document reads the state once more, judges, and describes the result.
func (r *run) document(ctx context.Context) v1alpha1.ProbeReport {
	if r.service.found && ctx.Err() == nil {
		snap := r.mesh.read(ctx)
		r.compare(snap)
		r.senders.learn(snap, r.service.key) // pods may have started meanwhile
	}
	doc := v1alpha1.ProbeReport{
		Document: clusters.Document("ProbeReport", r.mesh.selection.Members),
		Target:   v1alpha1.ProbeTarget{URL: r.service.url.String(), Method: r.cfg.Send.Method},
		Clients:  []v1alpha1.ProbeClient{},
	}
	if r.service.found {
		doc.Target.Service, doc.Target.Port = r.service.key.String(), r.service.url.Port()
	}
	for _, c := range r.clients {
		c.tally.Reattribute(r.senders.identifier())
		r.reviewPrediction(c)
		r.warnUnverified(c)
		if c.err != nil {
			c.result.Reason = oneLine(c.err.Error())
		}
		doc.Complete = doc.Complete && c.result.Complete
		doc.Clients = append(doc.Clients, c.describe(r.mesh.members))
		includeTime(&doc, c.result)
		doc.Checks = append(doc.Checks, r.describeChecks(c)...)
	}
	return doc
}

// includeTime extends the time of the report to the time of a run.
func includeTime(doc *v1alpha1.ProbeReport, res sender.Result) {
	if res.Start.IsZero() {
		return
	}
	start, end := res.Start.UTC(), res.End.UTC()
	if doc.StartTime == nil || start.Before(*doc.StartTime) {
		doc.StartTime = &start
	}
	if doc.EndTime == nil || end.After(*doc.EndTime) {
		doc.EndTime = &end
	}
}

// reviewPrediction withdraws the prediction if it changed during the run, and warns about a tally that contradicts it.
func (r *run) reviewPrediction(c *client) {
	if c.changed != "" {
		c.prediction = judge.Prediction{Why: fmt.Sprintf("the prediction changed during the run: %s, then %s", c.prediction, c.changed)}
		return
	}
	if r.mesh.touched && c.prediction.Doubt == "" {
		c.prediction.Doubt = "the Service was changed during the run, and the prediction may have been another one for a moment"
	}
	if c.tally.Weak > 0 && judge.Contradicts(c.tally, c.prediction, r.mesh.members) {
		c.result.Warnings = append(c.result.Warnings, fmt.Sprintf(
			"%d replies were attributed by a cluster name that they contain, and the tally contradicts the prediction (%s). The name may be in the replies by chance. Use --identify to select the part of the reply that identifies the cluster",
			c.tally.Weak, c.prediction))
	}
}

// warnUnverified warns about replies over TLS from a tool that may not verify certificates.
func (r *run) warnUnverified(c *client) {
	if r.service.url.TLS() && !r.cfg.Send.Insecure && strings.HasPrefix(c.result.Tool, "busybox") && c.tally.Answered() > 0 {
		c.result.Warnings = append(c.result.Warnings, "busybox wget may not have verified the server's certificate; to verify it, use a client pod with curl or GNU wget")
	}
}

// checks compares one client's tally with all expectations.
func (r *run) checks(c *client) []judge.Check {
	ev := judge.Evidence{
		Prediction: c.prediction, Members: r.mesh.members,
		ErrorsJudged: slices.ContainsFunc(r.expect, judge.Expectation.AboutErrors), Looks: judge.Looks(r.cfg.Send.Count, r.cfg.MaxCount),
	}
	var out []judge.Check
	if r.cfg.ExpectPrediction {
		out = append(out, judge.CheckPrediction(c.tally, ev))
	}
	for _, x := range r.expect {
		out = append(out, x.Judge(c.tally, ev))
	}
	return out
}

// describeChecks describes the checks of one client.
func (r *run) describeChecks(c *client) []v1alpha1.ProbeCheck {
	var out []v1alpha1.ProbeCheck
	for _, k := range r.checks(c) {
		if !c.result.Complete && k.Verdict == judge.Pass {
			k.Verdict, k.Reason = judge.Inconclusive, "the run is not complete"
		}
		out = append(out, v1alpha1.ProbeCheck{Client: c.member.Name, Expr: k.Expr, Result: string(k.Verdict), Observed: k.Observed, Reason: k.Reason})
	}
	return out
}

// maxSamples is how many distinct unknown replies a report shows.
const maxSamples = 5

// describe describes the result of one client.
func (c *client) describe(members []origin.Member) v1alpha1.ProbeClient {
	t := c.tally
	out := v1alpha1.ProbeClient{
		Cluster: c.member.Name, Context: c.member.Context, Namespace: c.pod.Namespace, Pod: c.pod.Name, Container: c.pod.Container, Node: c.pod.Node,
		Tool: c.result.Tool, Complete: c.result.Complete, Reason: c.result.Reason,
		Requests: t.Requests, Answered: t.Answered(), Unknown: t.Unknown, UnknownErrors: t.UnknownErrors,
		NoAnswer: t.NoAnswer, RecognisedBy: t.Recognised, WeakEvidence: t.Weak, PredictionMessage: c.prediction.Why, Warnings: c.result.Warnings,
		Answers: []v1alpha1.ProbeAnswer{},
	}
	samples := t.UnknownSamples(maxSamples)
	for _, u := range samples {
		out.UnknownSamples = append(out.UnknownSamples, v1alpha1.ProbeUnknown(u))
	}
	if len(samples) > 0 {
		out.UnknownSample = samples[0].Body
	}
	for _, row := range t.Rows(members) {
		out.Answers = append(out.Answers, c.answer(row))
	}
	for _, e := range t.Errors() {
		out.Errors = append(out.Errors, v1alpha1.ProbeError{Class: string(e.Class), Count: e.Count, Message: e.Message})
	}
	if took := c.result.End.Sub(c.result.Start); took > 0 {
		out.DurationMs = ptr.To(milliseconds(took))
		out.RequestsPerSecond = ptr.To(float64(t.Requests) / took.Seconds())
	}
	return out
}

// answer describes one row of the tally.
func (c *client) answer(row *tally.Row) v1alpha1.ProbeAnswer {
	ci := stats.Wilson(row.Requests, c.tally.Requests)
	a := v1alpha1.ProbeAnswer{
		Name: row.Name, Member: row.Member, Requests: row.Requests, Errors: row.Errors,
		CI: v1alpha1.ProbeInterval{Low: ci.Low, High: ci.High}, LatencyMs: describeLatency(row.Latency()),
	}
	if c.tally.Requests > 0 {
		a.Share = float64(row.Requests) / float64(c.tally.Requests)
	}
	if share, ok := c.prediction.Shares[row.Name]; ok {
		a.Expected = &share
	}
	return a
}

func describeLatency(l *tally.Latency) *v1alpha1.ProbeLatency {
	if l == nil {
		return nil
	}
	out := &v1alpha1.ProbeLatency{N: l.N, Min: milliseconds(l.Min), Mean: milliseconds(l.Mean), Max: milliseconds(l.Max)}
	for _, p := range []struct {
		from *time.Duration
		to   **float64
	}{{l.P50, &out.P50}, {l.P95, &out.P95}, {l.P99, &out.P99}} {
		if p.from != nil {
			*p.to = ptr.To(milliseconds(*p.from))
		}
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
