package drain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainplan"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/write"
)

// unreachable says why annotations cannot drain a cluster whose API server does not answer, and what can.
func (r *run) unreachable() error {
	name := r.target.Name
	r.ui.Unread(r.target)
	if c := r.target.Err.Class; c == failure.Forbidden || c == failure.Unauthorized {
		return fmt.Errorf("the Services of cluster %q could not be read (%s); nothing was changed", name, c)
	}
	names := make([]string, len(r.others))
	for i, other := range r.others {
		names[i] = other.Name
	}
	r.ui.Note("the other clusters go on using the endpoints that they last knew of %s: forever, unless clustermesh-cache-ttl is set there (Cilium 1.19 and newer)", name)
	if len(readable(r.others)) > 0 { // else nobody knows which there are
		r.ui.Note("to take it out anyway, disconnect it in %s: remove it from clustermesh.config.clusters in their Helm values (cilium clustermesh disconnect needs to reach both sides)", strings.Join(names, ", "))
	}
	return fmt.Errorf("cluster %q cannot be reached, and annotations cannot drain it then: they are written through its own API server; nothing was changed", name)
}

// certain refuses where it cannot be predicted what clients would have left.
func (r *run) certain() error {
	r.ui.Unread(r.others...)
	if len(readable(r.others)) == 0 {
		return errors.New("no other cluster could be read: the previous values need a place outside the drained cluster, and nothing could be predicted; name more contexts with --contexts")
	}
	why := strings.Join(drainplan.Uncertain(r.state, r.target), ", ")
	switch {
	case why == "":
		return nil
	case r.AllowPartial:
		r.ui.Warn("cannot determine whether clients of other clusters would be left without an endpoint: %s", why)
		return nil
	}
	return fmt.Errorf("cannot determine whether clients of other clusters would be left without an endpoint: %s; nothing was changed. "+
		"Name the contexts of all clusters with --contexts, grant the permissions that are missing, or go on without knowing with --allow-partial", why)
}

// check is the preflight, and the refusal of what cannot be drained.
func (r *run) check(ctx context.Context) error {
	var err error
	if r.DryRun != cli.DryRunClient {
		w := r.Write
		w.Change.AllowPartial = r.SkipRefused
		err = write.Preflight(ctx, r.plan, w)
	}
	refused := r.count(v1alpha1.ResultRefused)
	if refused > 0 && !r.SkipRefused && ctx.Err() == nil {
		return fmt.Errorf("%s of %s cannot be drained; nothing was changed. Fix what is reported above, or leave them as they are with --skip-refused", services(refused), r.target.Name)
	}
	if r.SkipRefused && len(r.plan.Pending()) == 0 && ctx.Err() == nil {
		return nil // there is nothing else to drain; leftOut says what stays
	}
	return err
}

// replan reads the mesh again and refuses if the drain would not be what was planned: the question may have been open for long, and others may
// have changed Services or drained clusters. others are the records of drains that are under way.
func (r *run) replan(ctx context.Context, others []*drainrecord.Record) error {
	st := meshstate.Read(ctx, r.sel.Members, r.Change.Timeout, meshstate.Query{Objects: true})
	r.seen(st)
	expected := drainplan.WithDrains(st, others)
	why := strings.Join(drainplan.Uncertain(expected, r.target), ", ")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.target.Err != nil:
		return fmt.Errorf("cluster %q could not be read again before the first write: %w; no Service was changed, run the command again", r.target.Name, r.target.Err)
	case why != "" && !r.AllowPartial:
		return fmt.Errorf("since planning: %s; no Service was changed, run the command again", why)
	}
	plan := func(st *meshstate.State) *annotate.Plan {
		return drainplan.Drain(st, r.target, r.record, r.keeper.Name)
	}
	changed := drainplan.Differences(plan(r.state), plan(expected))
	if len(changed) == 0 {
		return nil
	}
	return fmt.Errorf("the drain is no longer what was planned: %s; no Service was changed, run the command again", annotate.List(changed, namedInError))
}

// checkOtherDrains looks for drains of other clusters, now that others can see ours, and predicts once more with what they are about to write.
func (r *run) checkOtherDrains(ctx context.Context) error {
	const unknown = "cannot determine whether another cluster is being drained at the same time: "
	records, hidden, unread := drainrecord.Others(ctx, readable(r.sel.Members), r.Change.Timeout, r.target.Name)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(unread) > 0 && !r.AllowPartial:
		return fmt.Errorf(unknown+"%w; no Service was changed. --allow-partial goes on without knowing", errors.Join(unread...))
	case len(unread) > 0:
		r.ui.Warn(unknown+"%v", errors.Join(unread...))
	}
	if len(hidden) > 0 {
		r.ui.Warn(unknown+"you may not read the records in %s", strings.Join(hidden, ", "))
	}
	var underWay []*drainrecord.Record
	var who []string
	for _, rec := range records {
		switch rec.State {
		case drainrecord.Draining: // it may not have written yet
			underWay = append(underWay, rec)
		case drainrecord.Undraining:
			continue
		}
		who = append(who, fmt.Sprintf("%s is %s since %s", rec.Cluster, rec.State, rec.Who()))
	}
	if len(who) == 0 {
		return nil
	}
	if err := r.replan(ctx, underWay); err != nil {
		return fmt.Errorf("%s: %w when that is done or undone", strings.Join(who, ", "), err)
	}
	return nil
}

// checkRecord fails where the record is no longer as we wrote it, and says who has taken it over. The result then has what is stored there now.
func (r *run) checkRecord(ctx context.Context) error {
	ours := r.record
	var now *drainrecord.Record
	err := fanout.Do(ctx, r.Change.Timeout, func(ctx context.Context) (err error) {
		now, err = ours.Now(ctx)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("%s could not be read again: %w", ours.Place(), err)
	case now == ours:
		return nil
	}
	r.record = now
	switch {
	case now == nil:
		return fmt.Errorf("%s is gone: somebody undrained %s meanwhile, or deleted it", ours.Place(), r.target.Name)
	case now.State == drainrecord.Undraining:
		return fmt.Errorf("%s is being undrained since %s (%s)", r.target.Name, now.Who(), now.Place())
	}
	return fmt.Errorf("%s was written by somebody else meanwhile: %s since %s", now.Place(), now.State, now.Who())
}

// takenError names who else drains the cluster.
func (r *run) takenError(ctx context.Context, cause error) error {
	records, _ := drainrecord.Search(ctx, readable(r.others), r.Change.Timeout, r.target.Name)
	for _, rec := range records {
		if rec.ID != r.record.ID {
			return fmt.Errorf("%s is being drained since %s (%s); no Service was changed by this command. If that was interrupted, run it again: it goes on from there", r.target.Name, rec.Who(), rec.Place())
		}
	}
	return fmt.Errorf("%w; no Service was changed, run the command again", cause)
}

// incompleteError says what is left where all Services were written and the record could not be marked as drained.
func (r *run) incompleteError(ctx context.Context, err error) error {
	place := r.record.Place()
	ours := r.record
	if taken := r.checkRecord(ctx); r.record != ours {
		return fmt.Errorf("all Services are written and carry their previous values themselves, but %w; to undo the drain, run: %s; to take it out of service and record it again, run: %s",
			taken, r.command("undrain"), r.again())
	}
	return fmt.Errorf("all Services are written, but %s could not be marked as complete: %w; run the command again", place, err)
}

// withdraw undoes what was stored, since no Service follows: the record is again as it was found, or gone.
func (r *run) withdraw(ctx context.Context, found drainrecord.Record) error {
	rec, do := r.record, r.record.Delete
	if found.Member != nil {
		do = func(ctx context.Context) error {
			return rec.Advance(ctx, func(rec *drainrecord.Record) {
				rec.State, rec.ClusterUID, rec.Entries = found.State, found.ClusterUID, found.Entries
			})
		}
	}
	if err := fanout.Do(ctx, r.Change.Timeout, do); err != nil {
		return fmt.Errorf("%s is left: %w", rec.Place(), err)
	}
	if found.Member == nil {
		rec.Member = nil
	}
	return r.discard()
}

// discard removes the undo file of a drain that wrote no Service: it would only be in the way.
func (r *run) discard() error {
	if r.undoFile == "" {
		return nil
	}
	err := os.Remove(r.undoFile)
	r.undoFile = ""
	return err
}

// leftOut is set when --skip-refused left Services in service: the cluster is not drained in full.
func (r *run) leftOut() error {
	n := r.count(v1alpha1.ResultRefused, v1alpha1.ResultFailed)
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s could not be drained and clients of other clusters still use them (--skip-refused)", services(n))
}

// namedInError is how many Services an error names; the rest is counted.
const namedInError = 5
