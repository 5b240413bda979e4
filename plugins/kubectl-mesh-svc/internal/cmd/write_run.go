package cmd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// carryOut shows a plan, checks it, asks where it must, records, applies and reports.
func (o *writeOptions) carryOut(ctx context.Context, plan *annotate.Plan, targets []*clusters.Member, literal bool) error {
	o.sayOwners(plan)
	pending := plan.Pending()
	if len(pending) == 0 || o.dryRun == "client" {
		return o.report(plan, targets, "", o.partialError(targets))
	}
	progress := o.progress()
	err := o.preflight(ctx, plan)
	progress()
	if err != nil {
		return o.report(plan, targets, "", err)
	}
	if o.dryRun == "server" {
		return o.report(plan, targets, "", o.partialError(targets))
	}
	if o.out.IsTable() || !literal && !o.yes {
		if err := o.showPlan(plan.Report(targets, o.dryRun)); err != nil {
			return err
		}
	}
	pending = plan.Pending()
	if !literal {
		ask := confirm.Prompter{In: o.In, ErrOut: o.ErrOut, Terminal: output.IsTerminal(o.In), Yes: o.yes}
		if err := ask.Ask(ctx, fmt.Sprintf("The clusters were found, not named. Go on with %s: %s?", plan.Action, view.Count(len(pending), "change"))); err != nil {
			return o.notBegun(plan, targets, err)
		}
	}
	file, err := plan.Save(time.Now())
	if err != nil {
		return o.notBegun(plan, targets, err)
	}
	progress = o.progress()
	err = plan.Change().Apply(ctx, o.apply)
	progress()
	if err == nil {
		err = o.partialError(targets)
	}
	return o.report(plan, targets, file, err)
}

// preflight refuses what a reconciler owns and checks the rest in every cluster.
func (o *writeOptions) preflight(ctx context.Context, plan *annotate.Plan) error {
	if !o.force {
		plan.RefuseConflicts()
	}
	return plan.Change().Preflight(ctx, o.apply)
}

// sayOwners names the reconcilers that a plan meets, and where the change is made so that it stays.
func (o *writeOptions) sayOwners(plan *annotate.Plan) {
	owned, others := plan.Notes()
	for _, line := range others {
		output.Say(o.ErrOut, "Note: %s", line)
	}
	for _, line := range owned {
		output.Say(o.ErrOut, "Warning: %s", line)
	}
}

// notBegun ends a change that was checked and then not made: the document for scripts, for a person the reason alone.
func (o *writeOptions) notBegun(plan *annotate.Plan, targets []*clusters.Member, failure error) error {
	if o.out.IsTable() || o.out.IsName() {
		return failure
	}
	plan.Stop()
	return o.report(plan, targets, "", failure)
}

// showPlan shows on stderr what is about to be written; a long plan as a summary, unless -o wide.
func (o *writeOptions) showPlan(doc v1alpha1.ChangeReport) error {
	sections := view.Plan(doc)
	if view.Long(doc) && o.out.Format != output.Wide {
		sections = view.PlanSummary(doc)
	}
	return o.out.PrintPlan(o.ErrOut, sections)
}

// progressFrom is the number of changes from which on progress is shown.
const progressFrom = 20

// progress shows how far a phase is, on a terminal only. The function that it returns clears the line.
func (o *writeOptions) progress() (end func()) {
	o.apply.Events = nil
	if !output.IsTerminal(o.ErrOut) {
		return func() {}
	}
	var mu sync.Mutex
	shown := false
	o.apply.Events = func(e change.Event) {
		if e.Total < progressFrom || e.Kind == change.Begun {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		shown = true
		_, _ = fmt.Fprintf(o.ErrOut, "\r%d of %d %s", e.Done, e.Total, e.Kind)
	}
	return func() {
		if shown {
			_, _ = fmt.Fprint(o.ErrOut, "\r\x1b[K")
		}
	}
}

// partialError is set when --allow-partial left a target out: not everything was done.
func (o *writeOptions) partialError(targets []*clusters.Member) error {
	for _, m := range targets {
		if m.Err != nil {
			return fmt.Errorf("cluster %q was left out", m.Name)
		}
	}
	return nil
}

// report prints what became of each item, how to take it back and, after a failure, how to complete it.
func (o *writeOptions) report(plan *annotate.Plan, targets []*clusters.Member, undoFile string, failure error) error {
	wrote := plan.Wrote()
	for _, w := range o.later.Lines() {
		o.warn("%s", w)
	}
	doc := plan.Report(targets, o.dryRun)
	if wrote {
		if doc.UndoCommand = o.takeBack; o.takeBack == "" {
			doc.UndoFile, doc.UndoCommand = undoFile, o.command("", "undo", undoFile)
		}
	}
	if undoFile != "" && (failure != nil || plan.Failed()) {
		doc.RetryCommand = o.command(o.request.Namespace, o.retry...)
	}
	var err error
	if o.out.IsName() {
		for _, c := range doc.Changes {
			if _, werr := fmt.Fprintln(o.Out, c.Object); werr != nil {
				err = werr
			}
		}
	} else {
		wide := o.out.Format == output.Wide
		if o.out.IsTable() && !wide && view.Counted(doc) {
			output.Say(o.ErrOut, "Note: %d results are counted by kind; -o wide and -o json show each", len(doc.Changes))
		}
		err = o.out.Print(o.Out, doc, view.Changes(doc, wide))
	}
	if wrote && failure == nil && o.request.Note != "" {
		output.Say(o.ErrOut, "Note: %s", o.request.Note)
	}
	if doc.RetryCommand != "" {
		output.Say(o.ErrOut, "To complete it: %s", doc.RetryCommand)
	}
	if doc.UndoCommand != "" {
		output.Say(o.ErrOut, "To take this back: %s", doc.UndoCommand)
	}
	switch {
	case failure != nil:
		return failure
	case err != nil:
		return err
	case plan.Failed() && !wrote:
		return errors.New("nothing was changed")
	case plan.Failed():
		return errors.New("not everything was changed")
	}
	return nil
}
