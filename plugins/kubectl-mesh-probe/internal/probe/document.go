package probe

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/text"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// document reads the state once more, judges, and describes the result.
func (r *run) document(ctx context.Context) v1alpha1.ProbeReport {
	snaps := snapshots{}
	if found := r.found(); len(found) > 0 && ctx.Err() == nil {
		snaps = r.snapshots(ctx, found, r.mesh.read)
		r.compare(snaps)
		r.learn(snaps) // pods may have started meanwhile
	}
	doc := r.frame()
	for _, c := range r.clients {
		r.reattribute(c)
		r.reviewPrediction(c)
		r.warnUnverified(c)
		r.explainSockets(c, snaps[c.to])
		r.explainNames(c)
		if err := c.cause(); err != nil {
			c.result.Reason = text.OneLine(err.Error())
		}
		doc.Complete = doc.Complete && c.result.Complete
		doc.Clients = append(doc.Clients, c.describe(r.mesh.members))
		includeTime(&doc, c.result)
		doc.Checks = append(doc.Checks, r.describeChecks(c)...)
	}
	doc.Marks = r.allMarks()
	summary.Fill(&doc, &r.history)
	return doc
}

// frame is a report without clients.
func (r *run) frame() v1alpha1.ProbeReport {
	doc := v1alpha1.ProbeReport{
		Document: clusters.Document("ProbeReport", r.mesh.selection.Members),
		Target:   r.services[0].describe(r.cfg.Send.Method),
		Clients:  []v1alpha1.ProbeClient{},
	}
	if len(r.services) > 1 {
		for _, s := range r.services {
			doc.Targets = append(doc.Targets, s.describe(r.cfg.Send.Method))
		}
	}
	return doc
}

// begin tells the recorder what is known before the first request.
func (r *run) begin() {
	if r.cfg.Recorder == nil {
		return
	}
	doc := r.frame()
	for _, c := range r.clients {
		doc.Clients = append(doc.Clients, c.describe(r.mesh.members))
	}
	r.cfg.Recorder.Begin(doc, r.checksAsked())
}

// includeTime extends the time of the report to the time of a run.
func includeTime(doc *v1alpha1.ProbeReport, res sender.Result) {
	if res.Start.IsZero() {
		return
	}
	start, end := history.Steady(res.Start).UTC(), history.Steady(res.End).UTC()
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
	if r.mesh.touched[c.to.key] && c.prediction.Doubt == "" {
		c.prediction.Doubt = "the Service was changed during the run, so the prediction may have been different for a moment"
	}
	if c.tally.Weak > 0 && judge.Contradicts(c.tally, c.prediction, r.mesh.members) {
		c.result.Warnings = append(c.result.Warnings, fmt.Sprintf(
			"%d replies were attributed by a cluster name that they contain, and the tally contradicts the prediction (%s). The name may be in the replies by chance. Use --identify to select the part of the reply that identifies the cluster",
			c.tally.Weak, c.prediction))
	}
}

// warnUnverified warns about replies over TLS from a tool that may not verify certificates.
func (r *run) warnUnverified(c *client) {
	if c.to.url.TLS() && !r.cfg.Send.Insecure && strings.HasPrefix(c.result.Tool, "busybox") && c.tally.Answered() > 0 {
		c.result.Warnings = append(c.result.Warnings, "busybox wget may not have verified the server's certificate; to verify it, use a client pod with curl or GNU wget")
	}
}

// evidence is what is known of one client besides its tally.
func (r *run) evidence(c *client) judge.Evidence {
	return judge.Evidence{
		Prediction: c.prediction, Members: r.mesh.members,
		ErrorsJudged: slices.ContainsFunc(c.to.expect, judge.Expectation.AboutErrors), Looks: judge.Looks(r.cfg.Send.Count, r.cfg.MaxCount), Drift: judge.Drift(c.tally), Requests: r.requestsOf(c),
		Mark: r.failoverMark(), Reused: c.reused(), Dropped: c.result.Schedule.Dropped, Connections: c.to.url.TCP(), Timed: r.cfg.Send.Duration > 0,
	}
}

// checks compares one client's tally with all expectations.
func (r *run) checks(c *client) []judge.Check {
	ev := r.evidence(c)
	var out []judge.Check
	if c.aborted {
		out = append(out, c.abort.Check())
	}
	if r.cfg.ExpectPrediction {
		out = append(out, judge.CheckPrediction(c.tally, ev))
	}
	for _, x := range c.to.expect {
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
		out = append(out, v1alpha1.ProbeCheck{Client: c.name, URL: c.url, Expectation: k.Expr, Result: string(k.Verdict), Observed: k.Observed, Reason: k.Reason})
	}
	return out
}

// maxSamples is how many distinct unknown replies a report shows.
const maxSamples = 5

// describe describes one client, except for what follows from its requests.
func (c *client) describe(members []origin.Member) v1alpha1.ProbeClient {
	out := v1alpha1.ProbeClient{
		Name: c.name, URL: c.url, Cluster: c.member.Name, Context: c.member.Context, Helper: c.describeHelper(), Namespace: c.pod.Namespace, Pod: c.pod.Name, Container: c.pod.Container, Node: c.pod.Node,
		Tool: c.result.Tool, Complete: c.result.Complete, Reason: c.result.Reason,
		PredictionMessage: c.prediction.Why, OnlyCluster: c.prediction.Only(), Warnings: c.result.Warnings,
	}
	out.Schedule = describeSchedule(c.result.Schedule)
	samples := c.tally.UnknownSamples(maxSamples)
	for _, u := range samples {
		out.UnknownSamples = append(out.UnknownSamples, v1alpha1.ProbeUnknown(u))
	}
	if len(samples) > 0 {
		out.UnknownSample = samples[0].Body
	}
	for _, m := range members {
		if share, ok := c.prediction.Shares[m.Name]; ok {
			out.Answers = append(out.Answers, v1alpha1.ProbeAnswer{Name: m.Name, ExpectedShare: &share})
		}
	}
	if took := c.result.End.Sub(c.result.Start); took > 0 {
		out.DurationMs = ptr.To(summary.Milliseconds(took))
	}
	return out
}
