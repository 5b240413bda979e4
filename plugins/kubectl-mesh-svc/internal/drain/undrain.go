package drain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainplan"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/write"
)

var errNotAllBack = errors.New("not everything could be restored; values that were changed since then were not modified")

type undrain struct {
	*run

	restore *drainplan.Restore
	records []*drainrecord.Record
	missed  bool // a record may be stored where none could be read
}

// Restore undrains a cluster: it restores what the marks on the Services and the records in the other members tell. The order of writes is that of a
// drain backwards: the undo file, the record as undraining, each Service in one patch, and the record is deleted when nothing of it is left.
func Restore(ctx context.Context, c Config, ui kernel.UI) (*Report, error) {
	r, err := begin(ctx, c, ui, "undrain")
	if err != nil {
		return nil, err
	}
	r.restores = true
	switch {
	case ctx.Err() != nil:
		return r.unplanned(ctx.Err())
	case r.target.Err != nil:
		ui.Unread(r.target)
		return r.unplanned(fmt.Errorf("cluster %q could not be read (%s): its Services can be restored when it can; the previous values are kept until then", r.target.Name, r.target.Err.Class))
	}
	u := &undrain{run: r}
	if err := u.findRecords(ctx); err != nil {
		return r.unplanned(err)
	}
	u.restore = drainplan.Undrain(r.state, r.target, u.records)
	r.plan = u.restore.Plan
	// What was drained was shared, so share restores it in a manifest.
	r.plan.Manager, r.plan.Local = c.Manager, plugin.Display+" share"
	write.SayOwners(r.plan, ui)
	if len(u.records) > 0 {
		r.record = u.records[0]
	}
	if len(u.records) == 0 && len(r.plan.Items) == 0 {
		return u.nothing()
	}
	if err := u.check(ctx); err != nil {
		r.plan.Stop()
		return u.report(err)
	}
	r.shifts = drainplan.Shifts(r.state, r.plan, r.target.Name)
	if c.DryRun != cli.DryRunNone {
		return u.report(u.leftError())
	}
	if len(r.plan.Pending()) > 0 {
		if err := ui.Show(func(wide bool) []output.Section { return view.DrainPlan(r.document(), wide) }, false); err != nil {
			return nil, err
		}
	}
	return u.carryOut(ctx)
}

// findRecords finds the records of drains of the cluster. Where there may be one that could not be read it fails or, with --allow-partial, goes on without.
func (u *undrain) findRecords(ctx context.Context) error {
	records, unread := drainrecord.Search(ctx, readable(u.others), u.Change.Timeout, u.target.Name)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	u.records = records
	var searched []string
	for _, other := range u.others {
		if other.Err != nil {
			unread = append(unread, fmt.Errorf("cluster %q could not be read", other.Name))
		} else {
			searched = append(searched, other.Name)
		}
	}
	unsearched := drainplan.Unsearched(u.state, u.target.Name, searched)
	// A record that was found is the whole one, unless a mark points elsewhere.
	known := len(unsearched) == 0 && (len(unread) == 0 || len(records) > 0)
	for _, other := range u.others {
		switch {
		case other.Err == nil:
		case known:
			u.ui.Warn("cluster %s could not be read, and need not be: the record of the drain is in %s (%v)", other.Label(), records[0].Member.Name, other.Err)
		default:
			u.ui.Unread(other)
		}
	}
	switch {
	case known:
		return nil
	case u.AllowPartial:
		u.ui.Warn("a record of a drain of %s may be stored where it could not be read; it is left there%s", u.target.Name, because(unread))
		u.missed = true
		return nil
	case len(unsearched) > 0:
		return fmt.Errorf("the Services of %s name %s as the cluster that holds the record, and it was not read; nothing was changed. Name its context with --contexts, or go on with what the Services themselves tell with --allow-partial",
			u.target.Name, strings.Join(unsearched, ", "))
	}
	return fmt.Errorf("cannot determine whether a record of a drain of %s is stored elsewhere: %w; nothing was changed. --allow-partial goes on with what was found", u.target.Name, errors.Join(unread...))
}

// because lists errors behind a sentence, in one line.
func because(errs []error) string {
	out := ""
	for n, err := range errs {
		out += []string{": ", "; "}[min(n, 1)] + err.Error()
	}
	return out
}

// nothing is the report where there is nothing to undo.
func (u *undrain) nothing() (*Report, error) {
	report, err := u.report(nil)
	if u.missed {
		report.say("No record of a drain of %s could be read, and none of its Services carries the mark. Nothing was changed.", u.target.Name)
	} else {
		report.say("%s is not drained: no other cluster holds a record of it, and none of its Services carries the mark. Nothing was changed.", u.target.Name)
	}
	return report, err
}

// check is the preflight of the records and of the Services.
func (u *undrain) check(ctx context.Context) error {
	if u.DryRun == cli.DryRunClient {
		return nil
	}
	for _, rec := range u.records {
		if err := drainrecord.MayKeep(ctx, rec.Member, u.Change.Timeout, u.target.Name, false); err != nil {
			return fmt.Errorf("cluster %q: %w; nothing was changed", rec.Member.Name, err)
		}
	}
	// --allow-partial applies to clusters that cannot be read, not to Services. If one is refused, nothing is written: the record is deleted at the end, and
	// may be the only place of its previous value.
	w := u.Write
	w.Change.AllowPartial = false
	return write.Preflight(ctx, u.plan, w)
}

// carryOut writes the undo file and then, as one change, takes over the records, writes the Services, and deletes the records when everything in them is
// accounted for. It takes the records over also where no Service is to be written: a drain that is about to write its first Service then knows that it must not.
func (u *undrain) carryOut(ctx context.Context) (*Report, error) {
	if len(u.plan.Pending()) > 0 {
		var err error
		if u.undoFile, err = u.plan.Save(u.Now()); err != nil {
			u.plan.Stop()
			return u.report(err)
		}
	}
	keep := u.restore.Missing
	if u.Forget {
		keep = nil
	}
	taken, removed := &change.Phase{}, &change.Phase{Gate: u.markedMeanwhile}
	for _, rec := range u.records {
		taken.Steps = append(taken.Steps, u.takeOver(ctx, rec))
		removed.Steps = append(removed.Steps, release(rec, keep))
	}
	events, end := u.ui.Progress()
	u.Change.Events = events
	steps := &change.Plan{Action: u.plan.Action, Phases: []*change.Phase{taken, {Steps: u.plan.Steps()}, removed}}
	err := steps.Apply(ctx, u.Change)
	end()
	if err == nil {
		return u.finished(keep)
	}
	return u.report(u.explain(ctx, err, taken, removed))
}

// takeOver is the step that marks a record as being undrained.
func (u *undrain) takeOver(ctx context.Context, rec *drainrecord.Record) change.Step {
	by, since := rec.By, rec.Since
	if rec.State != drainrecord.Undraining {
		by, since = u.user(ctx, rec.Member), u.Now()
	}
	return drainrecord.Store(rec, rec.Member, func(rec *drainrecord.Record) { rec.State, rec.By, rec.Since = drainrecord.Undraining, by, since })
}

// release is the step that deletes a record, or leaves in it what is kept.
func release(rec *drainrecord.Record, keep []drainrecord.Entry) change.Step {
	left := slices.DeleteFunc(slices.Clone(rec.Entries), func(e drainrecord.Entry) bool {
		return !slices.ContainsFunc(keep, func(k drainrecord.Entry) bool { return k.Key == e.Key })
	})
	if len(left) == 0 {
		return drainrecord.Remove(rec)
	}
	return drainrecord.Store(rec, rec.Member, func(rec *drainrecord.Record) { rec.Entries = left })
}

// explain adds to an error what is left, and the way out.
func (u *undrain) explain(ctx context.Context, err error, taken, removed *change.Phase) error {
	failed := func(p *change.Phase) bool { return (&change.Plan{Phases: []*change.Phase{p}}).Failed() }
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case failed(taken):
		return fmt.Errorf("%w; no Service was changed, run the command again", err)
	case failed(removed):
		return fmt.Errorf("all Services are restored, but a record is left: %w; run the command again", err)
	case u.plan.Failed():
		return fmt.Errorf("%w. The record is kept; run the command again to go on", err)
	case len(u.records) > 0: // markedMeanwhile
		return fmt.Errorf("%w; the record is kept in %s, run the command again", err, u.records[0].Place())
	}
	return err
}

// finished is the report of an undrain that went through.
func (u *undrain) finished(keep []drainrecord.Entry) (*Report, error) {
	if len(keep) == 0 {
		u.record = nil
	}
	report, err := u.report(u.leftError())
	name := u.target.Name
	var line string
	switch {
	case len(keep) == 0 && u.missed:
		line = fmt.Sprintf("%s is back in service. A record of the drain may be left where none could be read. When it can be, run: %s", name, u.command("undrain"))
	case len(keep) == 0 && len(u.records) == 0:
		line = fmt.Sprintf("%s is back in service; no other cluster holds a record of the drain.", name)
	case len(keep) == 0:
		line = fmt.Sprintf("%s is back in service; the record of the drain is deleted.", name)
	default:
		line = u.kept(keep)
	}
	report.Lines = append([]string{line}, report.Lines...)
	return report, err
}

// kept says which previous values are kept, and until when.
func (u *undrain) kept(keep []drainrecord.Entry) string {
	why, are, values := "was rebuilt", "are not there. Their previous values are", "when they are there, or with --forget to give them up"
	if drainplan.RebuildUnknown(u.target, u.records) {
		why = "may have been rebuilt (its UID, that of namespace kube-system, is unknown)"
	}
	if len(keep) == 1 {
		are, values = "is not there. Its previous value is", "when it is there, or with --forget to give it up"
	}
	return fmt.Sprintf("%s %s, and %s that it had %s kept. Run this again %s: %s", u.target.Name, why, services(len(keep)), are, values, u.command("undrain"))
}

// markedMeanwhile reads the Services again and fails where one bears the mark. All marks that were found are gone by now: a drain that was
// under way when its record was taken over has written since, and its record must stay.
func (u *undrain) markedMeanwhile(ctx context.Context) error {
	if len(u.records) == 0 {
		return nil
	}
	st := meshstate.Read(ctx, []*clusters.Member{u.target}, u.Change.Timeout, meshstate.Query{Objects: true})
	u.seen(st)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case u.target.Err != nil:
		return fmt.Errorf("the Services of %s could not be read again: %w", u.target.Name, u.target.Err)
	}
	marked := drainplan.MarkedServices(st, u.target.Name)
	if len(marked) == 0 {
		return nil
	}
	have := "1 Service has"
	if len(marked) > 1 {
		have = services(len(marked)) + " have"
	}
	return fmt.Errorf("%s is being drained at the same time: %s got the mark meanwhile (%s)", u.target.Name, have, annotate.List(marked, namedInError))
}

func (u *undrain) leftError() error {
	switch {
	case u.plan.Failed():
		return errors.New("not everything could be restored; the record is kept, run the command again to go on")
	case len(u.restore.Left) > 0:
		return errNotAllBack
	}
	return nil
}

// report says what became of each Service.
func (u *undrain) report(failure error) (*Report, error) {
	report := u.newReport()
	if u.plan.Wrote() {
		report.say("To undo it, run: %s", u.undo())
	}
	return report, failure
}
