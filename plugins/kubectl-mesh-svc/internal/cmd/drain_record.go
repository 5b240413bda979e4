package cmd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// complete marks the record as drained.
func (o *drainOptions) complete(ctx context.Context, r *drainResult) error {
	err := o.within(ctx, func(ctx context.Context) error {
		return r.record.Advance(ctx, func(rec *drainrecord.Record) { rec.State = drainrecord.Drained })
	})
	if errors.Is(err, drainrecord.ErrTaken) {
		if err := o.held(ctx, r); err != nil {
			return fmt.Errorf("all Services are written and carry their former values themselves, but %w; to put it back, run: %s; to take it out of service and record it again, run: %s",
				err, o.command("", "undrain", r.cluster), o.command("", "drain", r.cluster))
		}
	}
	if err != nil {
		return fmt.Errorf("all Services are written, but %s could not be marked as complete: %w; run the command again", r.record.Place(), err)
	}
	return nil
}

// held fails where the record is no longer as we wrote it, and says who has taken it over. The result then has what stands there now.
func (o *drainOptions) held(ctx context.Context, r *drainResult) error {
	ours := r.record
	var now *drainrecord.Record
	err := o.within(ctx, func(ctx context.Context) (err error) {
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
		return fmt.Errorf("%s is gone: somebody put %s back meanwhile, or deleted it", ours.Place(), r.cluster)
	case now.State == drainrecord.Undraining:
		return fmt.Errorf("%s is being put back since %s (%s)", r.cluster, now.Who(), now.Place())
	}
	return fmt.Errorf("%s was written by somebody else meanwhile: %s since %s", now.Place(), now.State, now.Who())
}

// record finds the record of an earlier drain of the cluster, or begins one in the first member that may keep it.
func (o *drainOptions) record(ctx context.Context, m *clusters.Member, others []*clusters.Member) (rec *drainrecord.Record, keeper *clusters.Member, err error) {
	records, unread := drainrecord.Search(ctx, others, o.flags.Timeout, m.Name)
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case errors.Is(errors.Join(unread...), drainrecord.ErrUnreadable): // and a new one would have to stand in its place
		return nil, nil, fmt.Errorf("what an earlier drain of %s recorded is not known: nothing was changed; %w", m.Name, errors.Join(unread...))
	case len(unread) > 0 && !o.partial:
		return nil, nil, fmt.Errorf("whether %s is drained already is not known: %w; nothing was changed. --allow-partial goes on without knowing", m.Name, errors.Join(unread...))
	case len(records) > 0:
		rec = records[0]
		if len(records) > 1 {
			o.warn("%d clusters hold a record of a drain of %s; the oldest, %s, is continued, and undrain uses all", len(records), m.Name, rec.Place())
		}
		if rec.State == drainrecord.Undraining {
			return nil, nil, fmt.Errorf("%s is being put back since %s (%s); drain it when that is finished. Where it waits for Services that will not come back, add --forget. To finish it, run: %s",
				m.Name, rec.Who(), rec.Place(), o.command("", "undrain", m.Name))
		}
		err = o.within(ctx, func(ctx context.Context) error { return drainrecord.MayKeep(ctx, rec.Member, m.Name, "update") })
		if err != nil {
			return nil, nil, fmt.Errorf("cluster %q: %w; nothing was changed", rec.Member.Name, err)
		}
		return rec, rec.Member, nil
	}
	var refused []error
	for _, other := range others {
		if o.dryRun != "client" {
			if err := o.within(ctx, func(ctx context.Context) error { return drainrecord.MayKeep(ctx, other, m.Name, drainrecord.Verbs...) }); err != nil {
				refused = append(refused, fmt.Errorf("cluster %q: %w", other.Name, err))
				continue
			}
		}
		return &drainrecord.Record{ID: strings.ToLower(rand.Text()[:12]), Cluster: m.Name, ClusterUID: m.UID, State: drainrecord.Draining,
			By: o.who(ctx, other), Since: o.now(), Manager: o.manager}, other, nil
	}
	return nil, nil, fmt.Errorf("no other cluster can keep the former values: %w; nothing was changed", errors.Join(refused...))
}

// begin writes the undo file and the record. Afterwards the former values are safe.
func (o *drainOptions) begin(ctx context.Context, r *drainResult, keeper *clusters.Member, others []*clusters.Member) error {
	if len(r.plan.Pending()) > 0 {
		var err error
		if r.undoFile, err = r.plan.Save(o.now()); err != nil {
			return err
		}
	}
	if err := o.store(ctx, r.record, keeper, others); err != nil {
		return errors.Join(err, r.discard())
	}
	return nil
}

// discard removes the undo file of a drain that wrote no Service: it would only be in the way.
func (r *drainResult) discard() error {
	if r.undoFile == "" {
		return nil
	}
	err := os.Remove(r.undoFile)
	r.undoFile = ""
	return err
}

// withdraw takes back what begin wrote, since no Service follows: the record is again as it was found, or gone.
func (o *drainOptions) withdraw(ctx context.Context, r *drainResult, found drainrecord.Record) error {
	rec, do := r.record, r.record.Delete
	if found.Member != nil {
		do = func(ctx context.Context) error {
			return rec.Advance(ctx, func(rec *drainrecord.Record) {
				rec.State, rec.ClusterUID, rec.Entries = found.State, found.ClusterUID, found.Entries
			})
		}
	}
	if err := o.within(ctx, do); err != nil {
		return fmt.Errorf("%s is left: %w", rec.Place(), err)
	}
	if found.Member == nil {
		rec.Member = nil
	}
	return r.discard()
}

// store creates the record or brings it up to date. Of two drains that begin at once, with records in one or in two members, at most one goes on.
func (o *drainOptions) store(ctx context.Context, rec *drainrecord.Record, keeper *clusters.Member, others []*clusters.Member) error {
	if rec.Member != nil {
		if err := o.within(ctx, func(ctx context.Context) error {
			return rec.Advance(ctx, func(rec *drainrecord.Record) { rec.State = drainrecord.Draining })
		}); err != nil {
			return fmt.Errorf("%s: %w; no Service was changed, run the command again", rec.Place(), err)
		}
		return nil
	}
	if err := o.within(ctx, func(ctx context.Context) error { return rec.Create(ctx, keeper, false) }); err != nil {
		if !errors.Is(err, drainrecord.ErrTaken) {
			return fmt.Errorf("cluster %q: write the record: %w; no Service was changed, run the command again", keeper.Name, err)
		}
		return o.takenBy(ctx, rec, others, err)
	}
	records, unread := drainrecord.Search(ctx, others, o.flags.Timeout, rec.Cluster)
	if len(records) == 1 && (len(unread) == 0 || o.partial) {
		return nil
	}
	err := o.takenBy(ctx, rec, others, drainrecord.ErrTaken)
	if left := o.within(ctx, rec.Delete); left != nil {
		return errors.Join(err, errors.Join(unread...), fmt.Errorf("%s is left: %w", rec.Place(), left))
	}
	rec.Member = nil
	return errors.Join(err, errors.Join(unread...))
}

// takenBy names who drains the cluster besides us.
func (o *drainOptions) takenBy(ctx context.Context, rec *drainrecord.Record, others []*clusters.Member, cause error) error {
	records, _ := drainrecord.Search(ctx, others, o.flags.Timeout, rec.Cluster)
	for _, r := range records {
		if r.ID != rec.ID {
			return fmt.Errorf("%s is being drained since %s (%s); no Service was changed by this command. If that was interrupted, run it again: it goes on from there", rec.Cluster, r.Who(), r.Place())
		}
	}
	return fmt.Errorf("%w; no Service was changed, run the command again", cause)
}
