package write

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

// Change is a plan that is ready to be carried out.
type Change struct {
	kernel.Write

	Plan    *annotate.Plan
	Targets []*clusters.Member
	Literal bool   // the user named the clusters, so that nobody has to be asked
	Note    string // what to know once it is done

	Undo  func(file string) string // the command that undoes it
	Retry string                   // the command that completes it
}

// Report is what a change came to.
type Report struct {
	v1alpha1.ChangeReport

	// Note is what to know about a change that was made.
	Note string
	// Begun: there is more to show to a person than why the command ended.
	Begun bool
	// Nothing: no Service was meant.
	Nothing bool
}

// CarryOut checks a plan in every cluster, shows it, asks where it must, records the previous values, and applies it.
func CarryOut(ctx context.Context, c Change, ui kernel.UI) (*Report, error) {
	SayOwners(c.Plan, ui)
	if len(c.Plan.Pending()) == 0 || c.DryRun == cli.DryRunClient {
		return c.report("", c.leftOut())
	}
	events, end := ui.Progress()
	c.Write.Change.Events = events
	err := Preflight(ctx, c.Plan, c.Write)
	end()
	if err != nil {
		return c.report("", err)
	}
	if c.DryRun == cli.DryRunServer {
		return c.report("", c.leftOut())
	}
	if err := ui.Show(c.planned, !c.Literal); err != nil {
		return nil, err
	}
	file, err := c.begin(ctx, ui)
	if err != nil {
		// For a person the reason alone: the plan was shown.
		report, err := c.Refuse(err)
		report.Begun = false
		return report, err
	}
	err = c.Plan.Change().Apply(ctx, c.Write.Change)
	end()
	if err == nil {
		err = c.leftOut()
	}
	return c.report(file, err)
}

// SayOwners names the reconcilers that a plan meets.
func SayOwners(p *annotate.Plan, ui kernel.UI) {
	owned, others := p.Notes()
	for _, line := range others {
		ui.Note("%s", line)
	}
	for _, line := range owned {
		ui.Warn("%s", line)
	}
}

// planned shows what is about to be written; a long plan as a summary, unless all of it is asked for.
func (c Change) planned(wide bool) []output.Section {
	doc := c.Plan.Report(c.Targets, string(c.DryRun))
	if view.Long(doc) && !wide {
		return view.PlanSummary(doc)
	}
	return view.Plan(doc)
}

// begin asks, and records the previous values.
func (c Change) begin(ctx context.Context, ui kernel.UI) (file string, err error) {
	if !c.Literal {
		if err := ui.Confirm(ctx, fmt.Sprintf("These clusters were detected automatically. Apply %[2]s (%[1]s)?", c.Plan.Action, view.Count(len(c.Plan.Pending()), "change"))); err != nil {
			return "", err
		}
	}
	return c.Plan.Save(time.Now())
}

// Preflight refuses what a reconciler owns, and checks the rest in every cluster.
func Preflight(ctx context.Context, p *annotate.Plan, w kernel.Write) error {
	if !w.ForceConflicts {
		p.RefuseConflicts()
	}
	return p.Change().Preflight(ctx, w.Change)
}

// leftOut is set when --allow-partial left a target out: not everything was done.
func (c Change) leftOut() error {
	for _, m := range c.Targets {
		if m.Err != nil {
			return fmt.Errorf("cluster %q was left out", m.Name)
		}
	}
	return nil
}

// Refuse ends a change that cannot be made, and reports why for each item.
func (c Change) Refuse(failure error) (*Report, error) {
	c.Plan.Stop()
	return c.report("", failure)
}

// report says what became of each item, how to undo it and, after a failure, how to complete it.
func (c Change) report(undoFile string, failure error) (*Report, error) {
	wrote := c.Plan.Wrote()
	r := &Report{ChangeReport: c.Plan.Report(c.Targets, string(c.DryRun)), Begun: true, Nothing: len(c.Plan.Items) == 0}
	if wrote {
		r.UndoFile, r.UndoCommand = undoFile, c.Undo(undoFile)
	}
	if undoFile != "" && (failure != nil || c.Plan.Failed()) {
		r.RetryCommand = c.Retry
	}
	switch {
	case failure != nil:
		return r, failure
	case c.Plan.Failed() && !wrote:
		return r, errors.New("nothing was changed")
	case c.Plan.Failed():
		return r, errors.New("not everything was changed")
	}
	if wrote {
		r.Note = c.Note
	}
	return r, nil
}

// NotBegun is the report of a change that ended before there was a plan.
func NotBegun(action string, targets []*clusters.Member, dryRun cli.DryRunStrategy, failure error) (*Report, error) {
	doc := (&annotate.Plan{Action: action}).Report(targets, string(dryRun))
	doc.Complete = false
	return &Report{ChangeReport: doc}, failure
}
