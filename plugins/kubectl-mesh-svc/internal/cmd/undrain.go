package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/view"
)

func newUndrain(e *env) *cobra.Command {
	f := newWriteFlags(e)
	var forget bool
	cmd := &cobra.Command{
		Use:   "undrain CLUSTER",
		Short: "Put a drained cluster back into every global service",
		Long: "Put a drained cluster back into every global service: each Service gets exactly the value that it had before the\n" +
			"drain, absent ones included. It finds them by itself, on any machine, also when the cluster was rebuilt since\n" +
			"and when the drain was interrupted. What somebody changed since is left as it is, and listed; the exit code is\n" +
			"then 1." + writeExits,
		Example: `  # Put us back into service
  kubectl mesh-svc undrain us

  # See what would be put back
  kubectl mesh-svc undrain us --dry-run=server

  # Give up the values of Services that a rebuilt cluster no longer has
  kubectl mesh-svc undrain us --forget`,
		Args: exactlyOne("CLUSTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("namespace") {
				return errors.New("--namespace (-n) cannot be used with undrain, which works on all namespaces")
			}
			o, err := newDrainOptions(f, "undrain "+args[0])
			if err != nil {
				return err
			}
			o.forget = forget
			sel, err := o.selectMembers(cmd.Context())
			if err != nil {
				return err
			}
			return o.undrain(cmd.Context(), sel, args[0])
		},
	}
	f.addApplyFlags(cmd.Flags())
	cmd.Flags().Lookup("yes").Usage = "Accepted for symmetry with drain; undrain does not ask."
	cmd.Flags().Lookup("allow-partial").Usage = "If true, go on without clusters that cannot be read, with what the others and the Services themselves tell."
	cmd.Flags().BoolVar(&forget, "forget", false, "If true, also delete the record of Services that a cluster does not have which was, or may have been, rebuilt.")
	cmd.DisableFlagsInUseLine = true
	return cli.Writes(cmd)
}

// undrain puts back what the marks on the Services and the records in the other members tell. The order of writes is that of drain backwards:
// the undo file, the record as undraining, each Service in one patch, and the record is deleted when nothing of it is left.
func (o *drainOptions) undrain(ctx context.Context, sel *clusters.Selection, name string) error {
	m, others, err := o.target(sel, "undrain", name)
	if err != nil {
		return err
	}
	st := meshstate.Read(ctx, sel.Members, o.flags.Timeout, meshstate.Query{Objects: true})
	o.sayUnseen(sel.Members)
	switch {
	case ctx.Err() != nil:
		return o.unplanned(sel.Members, m, ctx.Err())
	case m.Err != nil:
		output.Unread(o.ErrOut, m.Label(), string(m.Err.Class), m.Err)
		return o.unplanned(sel.Members, m, fmt.Errorf("cluster %q cannot be reached: its Services can be put back when it answers; what they had is kept until then", m.Name))
	}
	records, missed, err := o.records(ctx, st, m, others)
	if err != nil {
		return o.unplanned(sel.Members, m, err)
	}
	restore := globalsvc.Undrain(st, m, records)
	// What was drained was shared, so that share is what puts it back in a manifest.
	restore.Manager, restore.Local = o.manager, display+" share"
	o.sayOwners(restore.Plan)
	r := &drainResult{plan: restore.Plan, members: sel.Members, cluster: m.Name, target: m, restores: true, takeBack: o.command("", "drain", m.Name)}
	if len(records) > 0 {
		r.record = records[0]
	}
	if len(records) == 0 && len(restore.Items) == 0 {
		if missed {
			output.Say(o.ErrOut, "No record of a drain of %s could be read, and none of its Services carries the mark. Nothing was changed.", m.Name)
		} else {
			output.Say(o.ErrOut, "%s is not drained: no other cluster holds a record of it, and none of its Services carries the mark. Nothing was changed.", m.Name)
		}
		return o.reportUndrain(r, nil)
	}
	if err := o.checkUndrain(ctx, r, records); err != nil {
		restore.Stop()
		return o.reportUndrain(r, err)
	}
	r.shifts = globalsvc.Shifts(st, restore.Plan, m.Name)
	if o.dryRun != "none" {
		return o.reportUndrain(r, leftError(restore))
	}
	if o.out.IsTable() && len(restore.Pending()) > 0 {
		if err := o.out.PrintPlan(o.ErrOut, view.DrainPlan(r.report(o.dryRun), o.out.Format == output.Wide)); err != nil {
			return err
		}
	}
	if err := o.putBack(ctx, r, records); err != nil {
		restore.Stop()
		return o.reportUndrain(r, err)
	}
	return o.finish(ctx, r, restore, records, missed)
}

// records finds the records of drains of the cluster. Where there may be one that could not be read it fails or, with --allow-partial, says so in missed.
func (o *drainOptions) records(ctx context.Context, st *meshstate.State, m *clusters.Member, others []*clusters.Member) (records []*drainrecord.Record, missed bool, err error) {
	records, unread := drainrecord.Search(ctx, readable(others), o.flags.Timeout, m.Name)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	var searched []string
	for _, other := range others {
		if other.Err != nil {
			unread = append(unread, fmt.Errorf("cluster %q could not be read", other.Name))
		} else {
			searched = append(searched, other.Name)
		}
	}
	homeless := globalsvc.Homeless(st, m.Name, searched)
	// A record that was found is the whole one, unless a mark points elsewhere.
	known := len(homeless) == 0 && (len(unread) == 0 || len(records) > 0)
	for _, other := range others {
		switch {
		case other.Err == nil:
		case known:
			o.warn("cluster %s could not be read, and need not be: the record of the drain is in %s (%v)", other.Label(), records[0].Member.Name, other.Err)
		default:
			output.Unread(o.ErrOut, other.Label(), string(other.Err.Class), other.Err)
		}
	}
	switch {
	case known:
		return records, false, nil
	case o.partial:
		o.warn("a record of a drain of %s may stand where it could not be read; it is left there%s", m.Name, because(unread))
		return records, true, nil
	case len(homeless) > 0:
		return nil, false, fmt.Errorf("the Services of %s name %s as the cluster that holds the record, and it was not read; nothing was changed. Name its context with --contexts, or go on with what the Services themselves tell with --allow-partial",
			m.Name, strings.Join(homeless, ", "))
	}
	return nil, false, fmt.Errorf("whether a record of a drain of %s stands elsewhere is not known: %w; nothing was changed. --allow-partial goes on with what was found", m.Name, errors.Join(unread...))
}

// because lists errors behind a sentence, in one line.
func because(errs []error) string {
	out := ""
	for n, err := range errs {
		out += []string{": ", "; "}[min(n, 1)] + err.Error()
	}
	return out
}

// checkUndrain is the preflight of the Services and of the records.
func (o *drainOptions) checkUndrain(ctx context.Context, r *drainResult, records []*drainrecord.Record) error {
	if o.dryRun == "client" {
		return nil
	}
	for _, rec := range records {
		if err := o.within(ctx, func(ctx context.Context) error {
			return drainrecord.MayKeep(ctx, rec.Member, r.cluster, "update", "delete")
		}); err != nil {
			return fmt.Errorf("cluster %q: %w; nothing was changed", rec.Member.Name, err)
		}
	}
	return o.preflight(ctx, r.plan)
}

// putBack writes the undo file, takes over the records and writes the Services. It takes the records over also where nothing is to be written:
// a drain that is about to write its first Service then knows that it must not.
func (o *drainOptions) putBack(ctx context.Context, r *drainResult, records []*drainrecord.Record) error {
	pending := len(r.plan.Pending()) > 0
	if pending {
		var err error
		if r.undoFile, err = r.plan.Save(o.now()); err != nil {
			return err
		}
	}
	for _, rec := range records {
		by, since := rec.By, rec.Since
		if rec.State != drainrecord.Undraining {
			by, since = o.who(ctx, rec.Member), o.now()
		}
		if err := o.within(ctx, func(ctx context.Context) error {
			return rec.Advance(ctx, func(rec *drainrecord.Record) { rec.State, rec.By, rec.Since = drainrecord.Undraining, by, since })
		}); err != nil {
			return fmt.Errorf("%s: %w; no Service was changed, run the command again", rec.Place(), err)
		}
	}
	if !pending {
		return nil
	}
	if err := r.plan.Change().Apply(ctx, o.apply); err != nil {
		return fmt.Errorf("%w. The record is kept; run the command again to go on", err)
	}
	return nil
}

// finish deletes the records when everything in them is accounted for.
func (o *drainOptions) finish(ctx context.Context, r *drainResult, restore *globalsvc.Restore, records []*drainrecord.Record, missed bool) error {
	if r.plan.Failed() {
		return o.reportUndrain(r, errors.New("not everything could be put back; the record is kept, run the command again to go on"))
	}
	if len(records) > 0 {
		if err := o.markedMeanwhile(ctx, r); err != nil {
			return o.reportUndrain(r, fmt.Errorf("%w; the record is kept in %s, run the command again", err, records[0].Place()))
		}
	}
	keep := restore.Missing
	if o.forget {
		keep = nil
	}
	for _, rec := range records {
		left := slices.DeleteFunc(slices.Clone(rec.Entries), func(e drainrecord.Entry) bool {
			return !slices.ContainsFunc(keep, func(k drainrecord.Entry) bool { return k.Key == e.Key })
		})
		do := rec.Delete
		if len(left) > 0 {
			do = func(ctx context.Context) error {
				return rec.Advance(ctx, func(rec *drainrecord.Record) { rec.Entries = left })
			}
		}
		if err := o.within(ctx, do); err != nil {
			return o.reportUndrain(r, fmt.Errorf("all Services are put back, but %s is left: %w; run the command again", rec.Place(), err))
		}
	}
	if len(keep) == 0 {
		r.record = nil
	}
	switch {
	case len(keep) == 0 && missed:
		output.Say(o.ErrOut, "%s is put back. A record of the drain may be left where none could be read. When it can be, run: %s", r.cluster, o.command("", "undrain", r.cluster))
	case len(keep) == 0 && len(records) == 0:
		output.Say(o.ErrOut, "%s is put back; no other cluster holds a record of the drain.", r.cluster)
	case len(keep) == 0:
		output.Say(o.ErrOut, "%s is put back; the record of the drain is deleted.", r.cluster)
	default:
		why, are, values := "was rebuilt", "are not there. Their former values are", "when they are there, or with --forget to give them up"
		if globalsvc.Unknown(r.target, records) {
			why = "may have been rebuilt (its UID, that of namespace kube-system, is not known)"
		}
		if len(keep) == 1 {
			are, values = "is not there. Its former value is", "when it is there, or with --forget to give it up"
		}
		output.Say(o.ErrOut, "%s %s, and %s that it had %s kept. Run this again %s: %s", r.cluster, why, services(len(keep)), are, values, o.command("", "undrain", r.cluster))
	}
	return o.reportUndrain(r, leftError(restore))
}

// markedMeanwhile reads the Services again and fails where one bears the mark. All marks that were found are gone by now: a drain that was
// under way when its record was taken over has written since, and its record must stay.
func (o *drainOptions) markedMeanwhile(ctx context.Context, r *drainResult) error {
	st := meshstate.Read(ctx, []*clusters.Member{r.target}, o.flags.Timeout, meshstate.Query{Objects: true})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.target.Err != nil:
		return fmt.Errorf("the Services of %s could not be read again: %w", r.cluster, r.target.Err)
	}
	marked := globalsvc.Marked(st, r.cluster)
	if len(marked) == 0 {
		return nil
	}
	have := "1 Service has"
	if len(marked) > 1 {
		have = services(len(marked)) + " have"
	}
	return fmt.Errorf("%s is being drained at the same time: %s got the mark meanwhile (%s)", r.cluster, have, annotate.List(marked, namedInError))
}

func leftError(restore *globalsvc.Restore) error {
	if len(restore.Left) > 0 {
		return errNotAllBack
	}
	return nil
}
