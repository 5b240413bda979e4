package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// drainResult is what a drain or an undrain has come to.
type drainResult struct {
	plan     *annotate.Plan
	members  []*clusters.Member
	cluster  string
	shifts   []v1alpha1.Shift
	record   *drainrecord.Record // nil where there is none
	undoFile string
	restores bool   // it is an undrain
	takeBack string // the command that takes it back

	// What a drain is planned from, for checking again before it writes: the cluster, the one that keeps the record, and what was read.
	target, keeper *clusters.Member
	state          *meshstate.State
}

func (r *drainResult) report(dryRun string) v1alpha1.DrainReport {
	doc := v1alpha1.DrainReport{ChangeReport: r.plan.Report(r.members, dryRun), Cluster: r.cluster, Shifts: r.shifts}
	if r.wrote() {
		doc.UndoFile, doc.UndoCommand = r.undoFile, r.takeBack
		if r.restores {
			doc.UndoFile = "" // undo does not take it: it would drain without a check
		}
	}
	if rec := r.record; rec != nil && rec.Member != nil {
		doc.Record = &v1alpha1.DrainRecord{Cluster: rec.Member.Name, Namespace: rec.Member.CiliumNamespace, Name: drainrecord.Name(rec.Cluster),
			State: string(rec.State), By: rec.By, Since: rec.Since.UTC().Format(time.RFC3339), Services: len(rec.Entries)}
	}
	return doc
}

// wrote reports whether a Service was, or may have been, written.
func (r *drainResult) wrote() bool {
	return r.plan.Wrote()
}

// print writes the document, the tables or the names, and what API servers warned of.
func (o *drainOptions) print(r *drainResult) error {
	for _, w := range o.later.Lines() {
		o.warn("%s", w)
	}
	doc := r.report(o.dryRun)
	if o.out.IsName() {
		for _, c := range doc.Changes {
			if _, err := fmt.Fprintln(o.Out, c.Object); err != nil {
				return err
			}
		}
		return nil
	}
	if len(doc.Changes) == 0 && o.out.IsTable() {
		return nil
	}
	if o.out.IsTable() && o.out.Format != output.Wide && view.Counted(doc.ChangeReport) {
		output.Say(o.ErrOut, "Note: %d results are counted by kind; -o wide and -o json show each", len(doc.Changes))
	}
	return o.out.Print(o.Out, doc, view.Drain(doc, o.out.Format == output.Wide))
}

// unplanned prints the document of a command that ended before there was a plan; a table of nothing is left out.
func (o *drainOptions) unplanned(members []*clusters.Member, m *clusters.Member, failure error) error {
	if o.out.IsTable() || o.out.IsName() {
		return failure
	}
	doc := (&drainResult{plan: &annotate.Plan{Action: o.request.Action}, members: members, cluster: m.Name}).report(o.dryRun)
	doc.Complete = false
	return errors.Join(failure, o.out.Print(o.Out, doc, nil))
}

// reportDrain prints what became of each Service, where the former values stand, and what can be done next.
func (o *drainOptions) reportDrain(r *drainResult, failure error) error {
	err := o.print(r)
	rec := r.record
	stored := rec != nil && rec.Member != nil
	inService := count(r.plan, v1alpha1.ResultRefused, v1alpha1.ResultFailed, v1alpha1.ResultPlanned)
	switch {
	case len(r.plan.Items) == 0:
		output.Say(o.ErrOut, "No Service is global and shared in %s: there is nothing to drain.", r.cluster)
	case o.dryRun != "none":
	case stored && rec.State == drainrecord.Drained:
		if inService > 0 {
			output.Say(o.ErrOut, "%s is drained except for %s, whose endpoints clients of the other clusters still use.", r.cluster, services(inService))
		} else {
			output.Say(o.ErrOut, "Clients of the other clusters no longer use the endpoints in %s for new connections; its own clients still do (affinity remote, set on a Service there, moves those too).", r.cluster)
		}
		output.Say(o.ErrOut, "The former values stand in %s.", rec.Place())
	case stored && rec.State == drainrecord.Draining:
		how := "%s is not drained in full."
		if inService+count(r.plan, v1alpha1.ResultUnknown) == 0 {
			how = "The drain of %s is not marked as complete."
		}
		output.Say(o.ErrOut, how+" To go on: %s", r.cluster, o.command("", "drain", r.cluster))
	}
	if o.dryRun == "none" && r.wrote() {
		output.Say(o.ErrOut, "Undo file on this machine: %s", r.undoFile)
	}
	if o.dryRun == "none" && (stored || r.wrote()) {
		output.Say(o.ErrOut, "To take this back, on any machine: %s", r.takeBack)
	}
	return firstError(failure, err)
}

// reportUndrain prints what became of each Service.
func (o *drainOptions) reportUndrain(r *drainResult, failure error) error {
	err := o.print(r)
	if r.wrote() {
		output.Say(o.ErrOut, "To take this back: %s", r.takeBack)
	}
	return firstError(failure, err)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var errNotAllBack = errors.New("not everything could be put back; what somebody changed since is left as it is")
