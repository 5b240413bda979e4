package drain

import (
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// Report is what a drain or an undrain came to.
type Report struct {
	v1alpha1.DrainReport

	// Lines are for a person: what has become of the cluster, and what can be done next.
	Lines []string
	// Begun: there is more to show to a person than why the command ended.
	Begun bool
}

// say adds a line for a person.
func (r *Report) say(format string, args ...any) {
	r.Lines = append(r.Lines, fmt.Sprintf(format, args...))
}

// document is the drain as scripts read it.
func (r *run) document() v1alpha1.DrainReport {
	doc := v1alpha1.DrainReport{ChangeReport: r.plan.Report(r.sel.Members, string(r.DryRun)), Cluster: r.target.Name, Shifts: r.shifts}
	doc.Kind = "DrainReport"
	if r.plan.Wrote() {
		doc.UndoFile, doc.UndoCommand = r.undoFile, r.undo()
		if r.restores {
			doc.UndoFile = "" // undo does not take it: it would drain without a check
		}
	}
	if rec := r.record; rec != nil && rec.Member != nil {
		doc.Record = &v1alpha1.DrainRecord{Cluster: rec.Member.Name, Namespace: rec.Member.CiliumNamespace, Name: drainrecord.Name(rec.Cluster),
			State: string(rec.State), By: rec.By, Since: rec.Since.UTC(), Services: len(rec.Entries)}
	}
	return doc
}

// undo is the command that undoes this one.
func (r *run) undo() string {
	if r.restores {
		return r.command("drain")
	}
	return r.command("undrain")
}

func (r *run) newReport() *Report {
	return &Report{DrainReport: r.document(), Begun: true}
}

// unplanned is the report of a command that ended before there was a plan.
func (r *run) unplanned(failure error) (*Report, error) {
	r.plan = &annotate.Plan{Action: r.plan.Action}
	r.record = nil
	report := &Report{DrainReport: r.document()}
	report.Complete = false
	return report, failure
}

// notBegun is the report of a drain that was planned, and did not write a Service. found is the record as it was found: what would have been added to
// it is not in the report.
func (r *run) notBegun(found drainrecord.Record, failure error) (*Report, error) {
	r.plan.Stop()
	if r.record.Member == found.Member {
		r.record = &found
	}
	return r.report(failure)
}

// report says what became of each Service, where the previous values are stored, and what can be done next.
func (r *run) report(failure error) (*Report, error) {
	report, name := r.newReport(), r.target.Name
	rec := r.record
	stored, forReal := rec != nil && rec.Member != nil, r.DryRun == cli.DryRunNone
	inService := r.count(v1alpha1.ResultRefused, v1alpha1.ResultFailed, v1alpha1.ResultPlanned)
	switch {
	case len(r.plan.Items) == 0:
		report.say("No Service is global and shared in %s: there is nothing to drain.", name)
	case !forReal:
	case stored && rec.State == drainrecord.Drained:
		if inService > 0 {
			report.say("%s is drained except for %s, whose endpoints clients of the other clusters still use.", name, services(inService))
		} else {
			report.say("Clients of the other clusters no longer use the endpoints in %s for new connections; its own clients still do (affinity remote, set on a Service there, moves those too).", name)
		}
		report.say("The previous values are stored in %s.", rec.Place())
	case stored && rec.State == drainrecord.Draining:
		how := "%s is not drained in full."
		if inService+r.count(v1alpha1.ResultUnknown) == 0 {
			how = "The drain of %s is not marked as complete."
		}
		report.say(how+" To go on, run: %s", name, r.again())
	}
	if forReal && r.plan.Wrote() {
		report.say("Undo file on this machine: %s", r.undoFile)
	}
	if forReal && (stored || r.plan.Wrote()) {
		report.say("To undo it, on any machine, run: %s", r.undo())
	}
	return report, failure
}

// count counts the Services with one of the results.
func (r *run) count(results ...string) int {
	n := 0
	for _, i := range r.plan.Items {
		if slices.Contains(results, i.Result) {
			n++
		}
	}
	return n
}

// services counts in words.
func services(n int) string {
	if n == 1 {
		return "1 Service"
	}
	return fmt.Sprintf("%d Services", n)
}
