package rotate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

func (r *run) carryOut(ctx context.Context, phase Phase, waited time.Duration) error {
	begun := r.Clock.Now()
	if err := r.hold(ctx); err != nil { // before the plan, because it changes the lock
		return err
	}
	plan, err := r.Config.plan(r.m, phase)
	if err != nil {
		return r.unbegun(err)
	}
	if len(plan.Pending()) == 0 && phase.Kind == Refresh {
		return r.settle(ctx, func() []string { return r.m.clientsBehind(phase.Clusters) })
	}
	if len(plan.Pending()) == 0 {
		return fmt.Errorf("phase %q has nothing to write in %s, although it is the next one; what was written is safe", phase.Kind, strings.Join(phase.Clusters, ", "))
	}
	r.ui.Say("%s", sentence(phase))
	for _, part := range plan.Phases {
		if phase.Kind != CleanUp { // which removes the lock
			part.Before = func(ctx context.Context, _ change.Step) error { return r.hold(ctx) }
		}
	}
	r.warnForeign(plan)
	if err := plan.Preflight(ctx, r.Change); err != nil {
		r.report.add(plan)
		return err
	}
	options := r.Change
	events, end := r.ui.Progress()
	options.Events = events
	err = plan.Apply(ctx, options)
	end()
	r.report.add(plan)
	if err != nil {
		return err
	}
	took := r.Clock.Now().Sub(begun).Milliseconds()
	waitedMs := waited.Milliseconds()
	done := describe(phase)
	done.WaitedMs, done.TookMs = &waitedMs, &took
	r.report.Phases = append(r.report.Phases, done)
	switch phase.Kind {
	case Restart: // before the pods are replaced, the old ones look as if they had to be restarted
		r.restarts += len(phase.Clusters)
		return r.settle(ctx, func() []string {
			left := r.m.missing(Gate{Settled: true}, Phase{}, 0)
			if len(left) == 0 && r.restarts < mostRestarts*len(r.m.clusters) { // if the CA file was written again meanwhile, another restart follows
				return nil
			}
			return append(left, r.m.etcdBehind(phase.Clusters)...)
		})
	case Refresh: // the comment reaches the clients with the next sync of their kubelets
		return r.settle(ctx, func() []string { return r.m.clientsBehind(phase.Clusters) })
	}
	return nil
}

// mostRestarts is how many restarts of clustermesh-apiserver one command tries for each cluster, in the mean.
const mostRestarts = 4

// check is the server-side dry run of a phase, or nothing for a client-side one.
func (r *run) check(ctx context.Context, phase Phase) error {
	if r.DryRun == cli.DryRunClient {
		return nil
	}
	plan, err := r.Config.plan(r.m, phase)
	if err != nil {
		return r.unbegun(err)
	}
	err = plan.Preflight(ctx, r.Change)
	r.report.add(plan)
	return err
}
