package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/globalsvc"
)

// unreachable says why annotations cannot drain a cluster whose API server does not answer, and what can.
func (o *drainOptions) unreachable(m *clusters.Member, others []*clusters.Member) error {
	output.Unread(o.ErrOut, m.Label(), string(m.Err.Class), m.Err)
	names := make([]string, len(others))
	for i, other := range others {
		names[i] = other.Name
	}
	output.Say(o.ErrOut, "Note: the other clusters go on using the endpoints that they last knew of %s: for ever, unless clustermesh-cache-ttl is set there (Cilium 1.19 and newer)", m.Name)
	if len(readable(others)) > 0 { // else nobody knows which there are
		output.Say(o.ErrOut, "Note: what takes it out all the same is to disconnect it in %s: remove it from clustermesh.config.clusters in their Helm values (cilium clustermesh disconnect wants to reach both sides)", strings.Join(names, ", "))
	}
	return fmt.Errorf("cluster %q cannot be reached, and annotations cannot drain it then: they are written through its own API server; nothing was changed", m.Name)
}

// certain refuses where clients may exist whom nobody can predict for.
func (o *drainOptions) certain(st *meshstate.State, m *clusters.Member, others []*clusters.Member) error {
	for _, other := range others {
		if other.Err != nil {
			output.Unread(o.ErrOut, other.Label(), string(other.Err.Class), other.Err)
		}
	}
	if len(readable(others)) == 0 {
		return errors.New("no other cluster could be read: the former values need a place outside the drained cluster, and nothing could be predicted; name more contexts with --contexts")
	}
	why := strings.Join(globalsvc.Uncertain(st, m), ", ")
	switch {
	case why == "":
		return nil
	case o.partial:
		o.warn("whether clients there would be left without an endpoint is not known: %s", why)
		return nil
	}
	return fmt.Errorf("whether clients there would be left without an endpoint is not known: %s; nothing was changed. Name the contexts with --contexts, or go on without knowing with --allow-partial", why)
}

// checkDrain is the preflight, and the refusal of what cannot be drained.
func (o *drainOptions) checkDrain(ctx context.Context, r *drainResult) error {
	var err error
	if o.dryRun != "client" {
		err = o.preflight(ctx, r.plan)
	}
	refused := count(r.plan, v1alpha1.ResultRefused)
	if refused > 0 && !o.skipRefused && ctx.Err() == nil {
		return fmt.Errorf("%s of %s cannot be drained; nothing was changed. Mend what is said above, or leave them as they are with --skip-refused", services(refused), r.cluster)
	}
	if o.skipRefused && len(r.plan.Pending()) == 0 && ctx.Err() == nil {
		return nil // there is nothing else to drain; leftOut says what stays
	}
	return err
}

// again reads the mesh again and refuses if the drain would not be what was planned: the question may have been open for long, and others may
// have changed Services or drained clusters. besides are the records of drains that are under way.
func (o *drainOptions) again(ctx context.Context, r *drainResult, besides []*drainrecord.Record) error {
	st := meshstate.Read(ctx, r.members, o.flags.Timeout, meshstate.Query{Objects: true})
	why := strings.Join(globalsvc.Uncertain(st, r.target), ", ")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.target.Err != nil:
		return fmt.Errorf("cluster %q could not be read again before the first write: %w; no Service was changed, run the command again", r.cluster, r.target.Err)
	case why != "" && !o.partial:
		return fmt.Errorf("since the plan was made: %s; no Service was changed, run the command again", why)
	}
	plan := func(st *meshstate.State) *annotate.Plan {
		return globalsvc.Drain(st, r.target, r.record, r.keeper.Name)
	}
	changed := globalsvc.Meanwhile(plan(r.state), plan(globalsvc.Besides(st, besides)))
	if len(changed) == 0 {
		return nil
	}
	return fmt.Errorf("the drain is no longer what was planned: %s; no Service was changed, run the command again", annotate.List(changed, namedInError))
}

// besides looks for drains of other clusters, now that others can see ours, and predicts once more with what they are about to write.
func (o *drainOptions) besides(ctx context.Context, r *drainResult) error {
	records, hidden, unread := drainrecord.Others(ctx, readable(r.members), o.flags.Timeout, r.cluster)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case len(unread) > 0 && !o.partial:
		return fmt.Errorf("whether another cluster is being drained is not known: %w; no Service was changed. --allow-partial goes on without knowing", errors.Join(unread...))
	case len(unread) > 0:
		o.warn("whether another cluster is being drained at the same time is not known: %v", errors.Join(unread...))
	}
	if len(hidden) > 0 {
		o.warn("whether another cluster is being drained at the same time is not known: you may not read the records in %s", strings.Join(hidden, ", "))
	}
	var besides []*drainrecord.Record
	var who []string
	for _, rec := range records {
		switch rec.State {
		case drainrecord.Draining: // it may not have written yet
			besides = append(besides, rec)
		case drainrecord.Undraining:
			continue
		}
		who = append(who, fmt.Sprintf("%s is %s since %s", rec.Cluster, rec.State, rec.Who()))
	}
	if len(who) == 0 {
		return nil
	}
	if err := o.again(ctx, r, besides); err != nil {
		return fmt.Errorf("%s: %w when that is done or put back", strings.Join(who, ", "), err)
	}
	return nil
}
