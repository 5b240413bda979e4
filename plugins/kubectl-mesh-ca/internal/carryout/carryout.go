// Package carryout takes a plan of writes from the preflight to the end: check, show, ask, write. What is written, and what a report of it looks like, is
// the business of its callers.
package carryout

import (
	"context"
	"errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// ErrIncomplete says that a plan ended, but not everything in it was done.
var ErrIncomplete = errors.New("not everything was done")

// Job is a plan, and how a person is asked about it.
type Job struct {
	Plan *change.Plan
	// Show returns the plan as tables, for the person who is asked.
	Show func() []output.Section
	// Question says what will happen.
	Question string
}

// Run carries the plan out. declined says that the person who was asked, or the missing terminal, ended it: there is nothing to show then.
func Run(ctx context.Context, j Job, w kernel.Write, ui kernel.UI) (declined bool, err error) {
	if j.Plan.Failed() {
		j.Plan.Stop()
		return false, errors.New("the plan cannot be carried out in every cluster; nothing was written in any cluster")
	}
	if len(j.Plan.Pending()) == 0 || w.DryRun == cli.DryRunClient {
		return false, nil
	}
	if err := j.Plan.Preflight(ctx, w.Change); err != nil {
		return false, err
	}
	if w.DryRun == cli.DryRunServer {
		return false, nil
	}
	if err := ui.Show(func(bool) []output.Section { return j.Show() }, true); err != nil {
		return true, err
	}
	if err := ui.Confirm(ctx, j.Question); err != nil {
		j.Plan.Stop()
		return true, err
	}
	events, end := ui.Progress()
	w.Change.Events = events
	err = j.Plan.Apply(ctx, w.Change)
	end()
	if err == nil && j.Plan.Failed() {
		err = ErrIncomplete
	}
	return false, err
}
