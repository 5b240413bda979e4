package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// The states of a drill in its document.
const (
	statePlanned     = "planned"
	stateRefused     = "refused"
	stateRestored    = "restored"
	stateNotRestored = "notRestored"
)

// kindReport is the kind of the document.
const kindReport = "DrillReport"

// document describes the drill.
func (r *run) document(state string) v1alpha1.DrillReport {
	doc := v1alpha1.DrillReport{
		Document: clusters.Document(kindReport, r.sel.Members), Service: r.key.String(), Cluster: r.target.Name, With: string(r.With), DryRun: string(r.DryRun),
		State: state, Changes: r.describeChanges(), Shifts: r.forecast.shifts, URL: r.url, HoldMs: ptr.To(summary.Milliseconds(r.Times.Hold)),
		WriteTime: moment(r.marks.write), RestoreTime: moment(r.marks.restore),
	}
	if rate := r.Probe.Send.Rate; rate > 0 {
		doc.RatePerSecond = &rate
	}
	if r.marks.write.IsZero() || r.With == drillrecord.Evict {
		doc.RestoreTime = nil
	}
	if r.record != nil && (state == statePlanned || state == stateNotRestored && r.repairable()) {
		doc.Record = describeRecord(r.record, r.target)
	}
	if state == stateNotRestored && r.repairable() {
		doc.RepairCommand = r.repair()
	}
	return doc
}

// repairable reports whether the record of a drill that wrote is still stored, as far as that is known.
func (r *run) repairable() bool { return r.restored != nil && !r.restored.done && !r.restored.missing }

// recordLost reports whether somebody deleted the record of this drill. A record of which nobody knows whether it was stored may never have been.
func (r *run) recordLost() bool {
	return r.restored != nil && r.restored.missing && r.record.Member != nil
}

// left are the objects that the drill wrote and did not restore, because somebody else changed them.
func (r *run) left() []string {
	var out []string
	for i, s := range r.steps {
		if s.Written && r.restored != nil && i < len(r.restored.changes) {
			out = append(out, left(r.restored.changes[i:i+1])...)
		}
	}
	return out
}

// describeRecord says where a record is, or will be, stored.
func describeRecord(rec *drillrecord.Record, m *clusters.Member) *v1alpha1.DrillRecord {
	return &v1alpha1.DrillRecord{Cluster: m.Name, Namespace: rec.Service.Namespace, Name: drillrecord.Name(rec.Service.Name), By: rec.By, Since: rec.Since}
}

// describeChanges are the writes that take the backends away, or what became of them.
func (r *run) describeChanges() []v1alpha1.DrillChange {
	out := []v1alpha1.DrillChange{}
	for i, s := range r.steps {
		c := r.record.Changes[i]
		d := v1alpha1.DrillChange{Cluster: r.target.Name, Namespace: r.key.Namespace, Object: c.Kind + "/" + c.Name, Field: c.Field, Before: c.Before, After: c.After, Result: s.Result, Message: s.Message}
		if r.restored != nil && i < len(r.restored.changes) {
			if back := r.restored.changes[i]; s.Written && c.Kind != change.EvictedPod.Name {
				d.Result, d.Message = back.Result, back.Message
				if r.recordLost() && back.Result == v1alpha1.ResultUnchanged {
					d.Result = resultRestored // by somebody else
				}
			}
		}
		out = append(out, d)
	}
	return out
}

// planned is the report of a dry run.
func (r *run) planned() (*Report, error) {
	return &Report{Document: r.document(statePlanned), Begun: true, Unread: unread(r.sel.Members)}, nil
}

// refused is the report of a drill that changed nothing.
func (r *run) refused(ctx context.Context, err error) (*Report, error) {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = errors.New("interrupted; nothing was changed")
	}
	if r.store != nil {
		r.changes().Stop()
	}
	doc := r.document(stateRefused)
	doc.Complete, doc.Reason = false, err.Error()
	report := &Report{Document: doc, Begun: true, Unread: unread(r.sel.Members)}
	r.keep(report)
	return report, &ResultError{Interrupted: ctx.Err() != nil, Err: err}
}

// conclude is the report of a drill that may have written. err says why the drill ended early, restoreErr why not everything is restored.
func (r *run) conclude(ctx context.Context, err, restoreErr error) (*Report, error) {
	state := stateRestored
	if restoreErr != nil || len(r.left()) > 0 {
		state = stateNotRestored
	}
	doc := r.document(state)
	r.describeResult(&doc)
	report := &Report{Document: doc, Begun: true, Unread: unread(r.sel.Members)}
	failure := r.failure(ctx, &report.Document, err, restoreErr)
	if failure != nil {
		report.Document.Reason = failure.Err.Error()
	}
	r.keep(report)
	if failure != nil {
		return report, failure
	}
	return report, nil
}

// describeResult adds what the clients saw, and the checks.
func (r *run) describeResult(doc *v1alpha1.DrillReport) {
	seen := r.observed()
	for _, c := range seen {
		doc.Clients = append(doc.Clients, c.DrillClient)
	}
	if r.marks.write.IsZero() {
		return
	}
	for _, c := range doc.Clients {
		doc.Complete = doc.Complete && c.Complete
		if c.FailoverMs != nil && (doc.FailoverMs == nil || *c.FailoverMs > *doc.FailoverMs) {
			doc.FailoverMs = c.FailoverMs
		}
	}
	doc.Checks = checks(seen, r.Expect, r.marks)
	doc.Propagation = propagation(doc.Clients, func(c v1alpha1.DrillClient) *float64 { return c.FollowedMs })
	doc.ReturnPropagation = propagation(doc.Clients, func(c v1alpha1.DrillClient) *float64 {
		if c.Return == nil {
			return nil
		}
		return c.Return.FirstAnswerMs
	})
	if p := doc.ReturnPropagation; p != nil && r.With == drillrecord.Evict {
		p.Missing = 0 // a client that never missed the pods has no return
	}
}

// failure returns why the drill did not succeed, nil if it did. The first reason counts.
func (r *run) failure(ctx context.Context, doc *v1alpha1.DrillReport, err, restoreErr error) *ResultError {
	if err := r.disturbed(restoreErr); err != nil {
		doc.Complete = false
		return &ResultError{Err: err}
	}
	switch {
	case ctx.Err() != nil:
		doc.Complete = false
		return &ResultError{Interrupted: true, Err: errors.New("interrupted; " + r.outcome())}
	case err != nil:
		doc.Complete = false
		return &ResultError{Err: fmt.Errorf("%w; %s", err, r.outcome())}
	}
	failed, open := 0, 0
	for _, k := range doc.Checks {
		switch judge.Verdict(k.Result) {
		case judge.Fail:
			failed++
		case judge.Inconclusive:
			open++
		}
	}
	switch {
	case !doc.Complete:
		return &ResultError{Err: fmt.Errorf("the requests are not complete: %s", r.incomplete(doc.Clients))}
	case failed > 0:
		return &ResultError{Missed: true, Err: fmt.Errorf("%d of %d checks failed", failed, len(doc.Checks))}
	case open > 0:
		return &ResultError{Err: fmt.Errorf("%d of %d checks are inconclusive", open, len(doc.Checks))}
	case len(doc.Checks) == 0 && (len(r.Expect) > 0 || r.With != drillrecord.Evict):
		return &ResultError{Err: errors.New("nothing was checked: no client that loses backends sent requests")}
	}
	return nil
}

// disturbed says what is not restored, or that somebody else restored it; nil if everything is as it was. It counts more than an interrupt.
func (r *run) disturbed(restoreErr error) error {
	evicted := r.With == drillrecord.Evict
	switch {
	case restoreErr != nil && evicted:
		return fmt.Errorf("the record of the drill is not deleted: %w; run: %s", restoreErr, r.repair())
	case restoreErr != nil && r.recordLost():
		return fmt.Errorf("the previous values are not restored: %w; the record of the drill was deleted, so restore them by hand: %s", restoreErr, strings.Join(r.restored.unsettled(), "; "))
	case restoreErr != nil:
		return fmt.Errorf("the previous values are not restored: %w; run: %s", restoreErr, r.repair())
	case len(r.left()) > 0:
		return fmt.Errorf("not everything was restored, because somebody else changed it: %s", strings.Join(r.left(), "; "))
	case r.recordLost() && !r.wrote():
		return nil // the error of the write says it
	case r.recordLost() && !r.restored.writes.time().IsZero():
		return errors.New("somebody deleted the record of the drill meanwhile, and the result proves nothing; the drill restored the previous values without it")
	case r.recordLost() && evicted:
		return errors.New("somebody deleted the record of the drill meanwhile, and the result proves nothing")
	case r.recordLost():
		return errors.New("the record of the drill is gone: somebody restored the previous values meanwhile, and the result proves nothing")
	}
	return nil
}

// outcome says what became of the objects of a drill that ended early.
func (r *run) outcome() string {
	switch {
	case !r.wrote():
		return "nothing was changed"
	case r.With == drillrecord.Evict:
		return "the drill does not replace evicted pods: their controller does"
	}
	return "the previous values are restored"
}

// wrote reports whether the drill took backends away.
func (r *run) wrote() bool {
	return slices.ContainsFunc(r.steps, func(s *step) bool { return s.Written })
}

// incomplete says which clients are not complete, and why.
func (r *run) incomplete(seen []v1alpha1.DrillClient) string {
	var out []string
	for _, c := range seen {
		if !c.Complete {
			out = append(out, fmt.Sprintf("clients in %s: %s", c.Cluster, c.Reason))
		}
	}
	if len(out) == 0 {
		return "a cluster could not be read"
	}
	return strings.Join(out, "; ")
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return ptr.To(t.UTC())
}
