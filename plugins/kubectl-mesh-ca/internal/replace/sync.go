package replace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/reissue"
)

// SyncConfig says whose CA is copied, and to whom.
type SyncConfig struct {
	Config

	From string
	To   []string // empty for all members but the source
	// BackupFile gets an encrypted copy of every CA that is replaced, before the first write; nil for none.
	BackupFile *archive.Writer
	// Reissue says how the leaf certificates of the source and of all targets are issued again afterwards; nil: they are not.
	Reissue *reissue.Means
}

// Sync gives the CA of one cluster to others.
func Sync(ctx context.Context, c SyncConfig, ui kernel.UI) (*Report, error) {
	if c.BackupFile != nil {
		if err := c.BackupFile.Check(); err != nil {
			return nil, err
		}
	}
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	if sel.ContextOnly && len(c.To) == 0 {
		return nil, errors.New("with --context, sync needs --to CLUSTER, or --contexts for several clusters")
	}
	from, targets, err := c.ends(sel)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(slices.Clone(sel.Members), func(m *clusters.Member) bool { return m == from || slices.Contains(targets, m) })
	if len(c.To) > 0 { // a target that was not named cannot be told from a cluster whose Cilium was merely not found
		targets = c.beforeCilium(targets, ui)
	}
	read := ca.ReadAll(ctx, append([]*clusters.Member{from}, targets...), c.Change.Timeout)
	all, states := read.Members, read.States
	from, targets = all[0], all[1:]
	if ctx.Err() != nil {
		return c.unwritten("sync", all, ctx.Err())
	}
	left, err := c.unreadable(from, targets, ui)
	if err != nil {
		return c.unwritten("sync", all, err)
	}
	ca.ReadReleases(ctx, states, c.Change.Timeout)
	source := slices.IndexFunc(states, func(s *ca.State) bool { return s.Member == from })
	plan, err := ca.Sync(states[source], slices.Delete(slices.Clone(states), source, source+1), c.options(), c.Now())
	if err != nil {
		return c.unwritten("sync", all, fmt.Errorf("%w; nothing was changed", err))
	}
	r := &run{Config: c.Config, ui: ui, plan: plan, members: all, left: left, file: c.BackupFile}
	r.observe(ctx, others)
	if err := reissue.NotRotating(ctx, states, slices.Concat(states, plan.Others), c.Change.Timeout, ui); err != nil {
		return c.unwritten("sync", all, err)
	}
	if c.Reissue != nil {
		if r.after, err = c.follow(ctx, plan, all, ui); err != nil {
			return c.unwritten("sync", all, err)
		}
	}
	return r.carryOut(ctx)
}

// follow plans what follows the sync: the leaf certificates of all its clusters are issued again.
func (c SyncConfig) follow(ctx context.Context, plan *ca.Plan, members []*clusters.Member, ui kernel.UI) (*reissue.Work, error) {
	states := []*ca.State{plan.From}
	for _, i := range plan.Items {
		states = append(states, i.State)
	}
	states = append(states, plan.Others...)
	for _, other := range plan.Others {
		members = append(members, other.Member)
	}
	return reissue.Plan(ctx, reissue.Job{Write: c.Write, Means: *c.Reissue, Members: members, States: states, Renewals: plan.Renewals(), AllowDisconnect: true}, ui)
}

// ends finds the source and the targets among the members.
func (c SyncConfig) ends(sel *clusters.Selection) (from *clusters.Member, targets []*clusters.Member, err error) {
	found, err := sel.Resolve("--from", []string{c.From})
	if err != nil {
		return nil, nil, err
	}
	from = found[0]
	if len(c.To) > 0 {
		targets, err := sel.Resolve("--to", c.To)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(targets, from) {
			return nil, nil, sel.WithUnread(fmt.Errorf("--to names %s, which is --from", from.Label()))
		}
		return from, targets, nil
	}
	targets = slices.DeleteFunc(slices.Clone(sel.Members), func(m *clusters.Member) bool { return m == from })
	if len(targets) == 0 {
		return nil, nil, sel.WithUnread(fmt.Errorf("--to-all: %s is the only cluster that is read; name more with --contexts", from.Label()))
	}
	return from, targets, nil
}

// unreadable refuses to begin when a cluster that matters could not be read. With --allow-partial it names the targets that are left out.
func (c SyncConfig) unreadable(from *clusters.Member, targets []*clusters.Member, ui kernel.UI) ([]string, error) {
	if len(ui.Unread(from)) > 0 {
		return nil, fmt.Errorf("%s, whose CA is to be copied, could not be read; nothing was changed", from.Name)
	}
	dead := ui.Unread(targets...)
	switch {
	case len(dead) == len(targets):
		return nil, errors.New("no cluster to be changed could be read; nothing was changed")
	case len(dead) > 0 && !c.AllowPartial:
		without := "Use --allow-partial to go on without it"
		if len(c.To) > 0 {
			without = "Leave it out of --to, or use --allow-partial to go on without it"
		}
		return nil, fmt.Errorf("%s could not be read; nothing was changed in any cluster. %s", strings.Join(dead, ", "), without)
	}
	return dead, nil
}
