package drain

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// findRecord finds the record of an earlier drain of the cluster, or begins one in the first member that may keep it.
func (r *run) findRecord(ctx context.Context) error {
	others, name := readable(r.others), r.target.Name
	records, unread := drainrecord.Search(ctx, others, r.Change.Timeout, name)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(errors.Join(unread...), drainrecord.ErrUnreadable): // and a new one would take its place
		return fmt.Errorf("cannot determine what an earlier drain of %s recorded: nothing was changed; %w", name, errors.Join(unread...))
	case len(unread) > 0 && !r.AllowPartial:
		return fmt.Errorf("cannot determine whether %s is drained already: %w; nothing was changed. --allow-partial goes on without knowing", name, errors.Join(unread...))
	case len(records) > 0:
		return r.continueRecord(ctx, records)
	}
	var refused []error
	for _, other := range others {
		if r.DryRun != cli.DryRunClient {
			if err := drainrecord.MayKeep(ctx, other, r.Change.Timeout, name, true); err != nil {
				refused = append(refused, fmt.Errorf("cluster %q: %w", other.Name, err))
				continue
			}
		}
		r.record = &drainrecord.Record{ID: strings.ToLower(rand.Text()[:12]), Cluster: name, ClusterUID: r.target.UID, State: drainrecord.Draining,
			By: r.user(ctx, other), Since: r.Now(), Manager: r.Manager}
		r.keeper = other
		return nil
	}
	return fmt.Errorf("no other cluster can keep the previous values: %w; nothing was changed", errors.Join(refused...))
}

// continueRecord goes on with the oldest of the records that were found.
func (r *run) continueRecord(ctx context.Context, records []*drainrecord.Record) error {
	r.record, r.keeper = records[0], records[0].Member
	if len(records) > 1 {
		r.ui.Warn("%d clusters hold a record of a drain of %s; the oldest, %s, is continued, and undrain uses all", len(records), r.target.Name, r.record.Place())
	}
	if r.record.State == drainrecord.Undraining {
		return fmt.Errorf("%s is being undrained since %s (%s); drain it when that is finished. Where it waits for Services that will not come back, add --forget. To finish it, run: %s",
			r.target.Name, r.record.Who(), r.record.Place(), r.command("undrain"))
	}
	if err := drainrecord.MayKeep(ctx, r.keeper, r.Change.Timeout, r.target.Name, false); err != nil {
		return fmt.Errorf("cluster %q: %w; nothing was changed", r.keeper.Name, err)
	}
	return nil
}
