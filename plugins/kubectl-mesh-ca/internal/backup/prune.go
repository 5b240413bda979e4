package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/carryout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/view"
)

// PruneConfig says which backups may be deleted.
type PruneConfig struct {
	kernel.Write

	// Select finds the members. All of them are read: a backup of one may be trusted in another.
	Select    func(context.Context) (*clusters.Selection, error)
	Now       func() time.Time
	In        []string // empty for all members that are read
	OlderThan time.Duration
}

// PruneReport is what prune came to. Begun: there is more to show to a person than why it ended.
type PruneReport struct {
	v1alpha1.CAChangeReport

	Begun bool
}

// errUnsure ends a prune that cannot know whether backups are in use.
var errUnsure = errors.New("nothing was deleted: backups are deleted only if everything that may use them was read")

// Prune deletes the backups that nothing uses any more.
func Prune(ctx context.Context, c PruneConfig, ui kernel.UI) (*PruneReport, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	p := &prune{PruneConfig: c, ui: ui, sel: sel}
	inv, ev, err := p.look(ctx)
	if err != nil {
		return p.unwritten(inv, err)
	}
	p.plan, p.members = ca.Prune(inv.kept, ev, c.OlderThan, c.Now()), inv.members
	steps := p.plan.Change(p.lookAgain)
	switch {
	case len(ev.Rotations) > 0 && len(p.plan.Items) > 0:
		return p.stopped(steps, errors.New("nothing was deleted: a rotation of the CA is under way; finish or abort it first"))
	case steps.Failed():
		return p.stopped(steps, errUnsure)
	}
	declined, err := carryout.Run(ctx, carryout.Job{Plan: steps, Question: p.question(), Show: func() []output.Section { return view.Prune(p.report()) }}, c.Write, ui)
	return &PruneReport{CAChangeReport: p.report(), Begun: !declined}, err
}

type prune struct {
	PruneConfig
	ui  kernel.UI
	sel *clusters.Selection

	plan    *ca.PrunePlan
	members []*clusters.Member
}

// look reads what is kept, and everything that may use it. What cannot be read ends the command.
func (p *prune) look(ctx context.Context) (*inventory, ca.Evidence, error) {
	inv, err := take(ctx, p.sel, p.In, p.Change.Timeout)
	if err != nil {
		return nil, ca.Evidence{}, err
	}
	if ctx.Err() != nil {
		return inv, ca.Evidence{}, ctx.Err()
	}
	if dead := p.ui.Unread(inv.members...); len(dead) > 0 {
		return inv, ca.Evidence{}, fmt.Errorf("%s could not be read; %w", strings.Join(dead, ", "), errUnsure)
	}
	rotations, err := ca.Rotations(ctx, inv.states, p.Change.Timeout)
	if err != nil {
		return inv, ca.Evidence{}, fmt.Errorf("%w; %w", err, errUnsure)
	}
	return inv, ca.Evidence{States: inv.states, Gaps: inv.gaps, Rotations: rotations}, nil
}

// lookAgain is asked before the first deletion: while a person read the plan, a restore may have put a former CA back, or a rotation may have begun.
func (p *prune) lookAgain(ctx context.Context) error {
	inv, ev, err := p.look(ctx)
	if err != nil {
		return err
	}
	now := map[string]bool{}
	for _, k := range ca.Prune(inv.kept, ev, p.OlderThan, p.Now()).Pending() {
		now[string(k.Secret.UID)+k.State.Member.Name+k.Secret.Name] = true
	}
	for _, k := range p.plan.Pending() {
		if !now[string(k.Secret.UID)+k.State.Member.Name+k.Secret.Name] {
			return fmt.Errorf("backup %s of %s: %w", k.Secret.Name, k.State.Member.Name, change.ErrConflict)
		}
	}
	return nil
}

func (p *prune) question() string {
	pending := p.plan.Pending()
	if len(pending) == 1 {
		return fmt.Sprintf("Delete backup %s of %s? It cannot be restored afterwards.", pending[0].Secret.Name, pending[0].State.Member.Name)
	}
	return fmt.Sprintf("Delete %d backups? They cannot be restored afterwards.", len(pending))
}

func (p *prune) report() v1alpha1.CAChangeReport { return p.plan.Report(p.members, string(p.DryRun)) }

// stopped is the report of a plan that was made and not carried out.
func (p *prune) stopped(steps *change.Plan, failure error) (*PruneReport, error) {
	steps.Stop()
	return &PruneReport{CAChangeReport: p.report(), Begun: true}, failure
}

// unwritten is the report of a change that was not planned.
func (p *prune) unwritten(inv *inventory, failure error) (*PruneReport, error) {
	if inv == nil {
		return nil, failure
	}
	doc := (&ca.PrunePlan{}).Report(inv.members, string(p.DryRun))
	doc.Complete = false
	return &PruneReport{CAChangeReport: doc}, failure
}
