package reissue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
)

// Clock is the time. Tests have their own.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// Helm runs the helm command of this machine.
type Helm interface {
	// Find fails if there is none.
	Find() error
	// Run runs it with arguments, and with env besides the environment of this process.
	Run(ctx context.Context, args, env []string) error
}

// Means say how leaf certificates are issued again, and what follows.
type Means struct {
	// Helm runs the upgrades; nil: they are printed and waited for.
	Helm Helm
	// Restart says that what has read the previous CA restarts. Observer is needed for that.
	Restart  bool
	Observer Observer
	Clock    Clock
	// Wait is how long one phase may wait for others, and Poll how often is looked.
	Wait, Poll time.Duration
	// GoOn are the words of the command that goes on after this one has ended early.
	GoOn []string
}

// Defaults of the durations.
const (
	DefaultWait = 10 * time.Minute
	DefaultPoll = 2 * time.Second
	// DefaultSoon is how much life a certificate must have left that is not issued again. It is what status warns of.
	DefaultSoon = 60 * 24 * time.Hour
)

// Config is what reissue needs.
type Config struct {
	kernel.Write
	Means

	Select func(context.Context) (*clusters.Selection, error)
	In     []string // empty for all clusters that are read
	Which  ca.Which
	// AllowDisconnect lets clusters that trust each other stop doing so.
	AllowDisconnect bool
	// Show turns a report into tables.
	Show func(v1alpha1.CAChangeReport) []output.Section
}

// Report is what a command came to.
type Report struct {
	v1alpha1.CAChangeReport

	// Status is the command that shows who trusts whom afterwards.
	Status string
	// Begun: there is more to show to a person than why the command ended.
	Begun bool
}

// ErrWaiting says that something was not done in time. Nothing is wrong with what was written: the command goes on from there.
var ErrWaiting = errors.New("not everything is done yet")

// Run issues leaf certificates again.
func Run(ctx context.Context, c Config, ui kernel.UI) (*Report, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	wanted := sel.Members
	if len(c.In) > 0 {
		if wanted, err = sel.Resolve("--in", c.In); err != nil {
			return nil, err
		}
	}
	read := ca.ReadAll(ctx, sel.Members, c.Change.Timeout)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	isWanted := func(m *clusters.Member) bool {
		return slices.ContainsFunc(wanted, func(w *clusters.Member) bool { return w.Name == m.Name && w.Context == m.Context })
	}
	mine := slices.DeleteFunc(slices.Clone(read.Members), func(m *clusters.Member) bool { return !isWanted(m) })
	if dead := ui.Unread(mine...); len(dead) > 0 {
		return unwritten(c.Write, read.Members, fmt.Errorf("%s could not be read; nothing was changed in any cluster. Leave it out of --in", strings.Join(dead, ", ")))
	}
	targets := slices.DeleteFunc(slices.Clone(read.States), func(s *ca.State) bool { return !isWanted(s.Member) })
	if err := NotRotating(ctx, targets, read.States, c.Change.Timeout, ui); err != nil {
		return unwritten(c.Write, read.Members, err)
	}
	ca.ReadReleases(ctx, targets, c.Change.Timeout)
	for _, s := range targets {
		if s.DeletedNote != "" {
			ui.Note("%s: leaf certificates of Hubble are missing. Cannot determine whether a command of mesh-ca deleted them (%s); a Helm upgrade recreates them", s.Member.Name, s.DeletedNote)
		}
	}
	renewals, err := ca.Renewals(read.Members, read.States, targets, c.Which, c.Clock.Now())
	if err != nil {
		return unwritten(c.Write, read.Members, fmt.Errorf("%w; nothing was changed", err))
	}
	w, err := Plan(ctx, Job{Write: c.Write, Means: c.Means, Members: read.Members, States: read.States, Renewals: renewals, AllowDisconnect: c.AllowDisconnect}, ui)
	if err != nil {
		return unwritten(c.Write, read.Members, err)
	}
	return c.carryOut(ctx, w, ui)
}

// carryOut checks the plan, asks, and carries it out.
func (c Config) carryOut(ctx context.Context, w *Work, ui kernel.UI) (*Report, error) {
	if w.Idle() || c.DryRun == cli.DryRunClient {
		return w.report(true), nil
	}
	if err := w.Preflight(ctx); err != nil {
		return w.report(true), err
	}
	if c.DryRun == cli.DryRunServer {
		return w.report(true), nil
	}
	if err := ui.Show(func(bool) []output.Section { return c.Show(w.report(true).CAChangeReport) }, true); err != nil {
		return nil, err
	}
	if err := ui.Confirm(ctx, w.Question()); err != nil {
		w.Stop()
		report := w.report(true)
		report.Begun = false
		return report, err
	}
	err := w.Apply(ctx)
	return w.report(false), err
}

// NotRotating fails if a rotation of the CA is under way in a cluster that was read: it would be disturbed. It must be known of the clusters that are changed; of
// another one, what cannot be determined is a note.
func NotRotating(ctx context.Context, changed, states []*ca.State, timeout time.Duration, ui kernel.UI) error {
	if _, err := ca.Rotations(ctx, changed, timeout); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	rotations, err := ca.Rotations(ctx, states, timeout)
	if err != nil {
		ui.Note("%v", err)
	}
	var names []string
	var members []*clusters.Member
	for _, s := range states {
		members = append(members, s.Member)
		if _, ok := rotations[s.Member.Name]; ok {
			names = append(names, s.Member.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("a rotation of the CA is under way in %s; nothing was changed. Finish or abort it first; this shows its phase: %s", strings.Join(names, ", "), ca.Command(members, "rotate", "status"))
}

// unwritten is the report of a change that was not planned.
func unwritten(w kernel.Write, members []*clusters.Member, failure error) (*Report, error) {
	doc := newDocument(w, members)
	doc.Complete = false
	return &Report{CAChangeReport: doc}, failure
}

func newDocument(w kernel.Write, members []*clusters.Member) v1alpha1.CAChangeReport {
	return v1alpha1.CAChangeReport{ChangeReport: v1alpha1.ChangeReport{
		Document: clusters.Document("CAChangeReport", members), Action: "reissue", DryRun: string(w.DryRun), Changes: []v1alpha1.Change{},
	}}
}
