package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// Action is what a command does.
type Action string

// The actions.
const (
	Federate Action = "federate"
	Off      Action = "off"
	// Repair gives all clusters chains that the CAs of all others verify, whoever signed their leaf certificates: rotate repair.
	Repair Action = "repair"
)

// Config is what a command needs.
type Config struct {
	kernel.Write

	Action Action
	Select func(context.Context) (*clusters.Selection, error)
	// In names the clusters that are federated; empty for all that are read.
	In []string
	// FilesOnly chooses the recipe Files. AllowDisconnect lets Off separate clusters that are connected.
	FilesOnly, AllowDisconnect bool
	Observer                   rotate.Observer
	Clock                      rotate.Clock
	// Who runs the command, and where, for the lock; ID tells this run from others.
	Who, ID string
	// Wait is how long each phase may wait for the running processes, and Poll how often is looked. With 0 they are not observed, and nothing is restarted.
	Wait, Poll time.Duration
	// Show turns a report into tables.
	Show func(doc v1alpha1.FederationReport) []output.Section
}

// Defaults of the durations.
const (
	DefaultWait = 10 * time.Minute
	DefaultPoll = 2 * time.Second
	// lookBack is how far the logs of etcd are read, and observeFactor how many requests in a row an observation may take.
	lookBack      = 2 * time.Minute
	observeFactor = 3
)

// ErrWaiting says that the processes did not do in time what a phase needs. What was written is safe, and the same command goes on.
var ErrWaiting = errors.New("the running processes are not ready yet")

// errTaken says that another command holds the lock now.
var errTaken = errors.New("this command ends")

// run is one command on its way.
type run struct {
	Config
	ui             kernel.UI
	members, scope []*clusters.Member
	m              *mesh
	recipe         Recipe
	report         v1alpha1.FederationReport
	wrote          bool
	said           string // the last thing that was waited for
}

// Run federates clusters, ends that, or repairs a mesh.
func Run(ctx context.Context, c Config, ui kernel.UI) (v1alpha1.FederationReport, error) {
	r := &run{Config: c, ui: ui}
	sel, err := c.Select(ctx)
	if err != nil {
		return r.report, err
	}
	r.members, r.scope = sel.Members, sel.Members
	if len(c.In) > 0 {
		if r.scope, err = sel.Resolve("--in", c.In); err != nil {
			return r.report, err
		}
	}
	const least = 2
	if len(r.scope) < least {
		return r.report, errors.New("at least two clusters are required; name them with --contexts, or choose some of them with --in")
	}
	if dead := ui.Unread(sel.Members...); len(dead) > 0 {
		return r.end(fmt.Errorf("%w; %s could not be read; nothing was written", errIncomplete, strings.Join(dead, ", ")))
	}
	if err := r.read(ctx); err != nil {
		return r.end(err)
	}
	ca.ReadReleases(ctx, r.m.states(r.m.scope), c.Change.Timeout)
	if err := r.begin(ctx); err != nil {
		return r.end(err)
	}
	return r.end(r.carryOn(ctx))
}

// read reads all clusters, and what their processes do.
func (r *run) read(ctx context.Context) error {
	m, err := r.Config.read(ctx, r.members, r.scope)
	if err != nil {
		return err
	}
	m.recipe = r.recipe
	if r.m != nil {
		m.crosses, m.accepted = r.m.crosses, r.m.accepted
	}
	r.m = m
	if r.Wait == 0 {
		return nil
	}
	for _, res := range fanout.Each(ctx, r.scope, observeFactor*r.Change.Timeout, func(ctx context.Context, member *clusters.Member) (rotate.Running, error) {
		return r.Observer.Running(ctx, m.of(member).State, rotate.Look{Since: member.Earliest(m.at).Add(-lookBack)})
	}) {
		if res.Err != nil {
			return fmt.Errorf("cluster %q: what its processes do could not be observed: %w. --wait 0 does not observe them", res.Member.Name, res.Err)
		}
		m.of(res.Member).running = res.Value
	}
	return ctx.Err()
}

// begin chooses the recipe and checks everything before the first write.
func (r *run) begin(ctx context.Context) error {
	recipe, reason, err := chooseRecipe(r.m.issuers(), r.FilesOnly || r.Action == Repair)
	switch {
	case r.Action == Off: // whatever was made is removed
		recipe, reason = Cross, "cross certificates are removed. Nothing is restarted"
		if slices.ContainsFunc(r.m.scope, func(c *cluster) bool { return c.issuer == Helm || c.issuer == Mixed }) {
			recipe, reason = Roots, "CAs of the other clusters are removed. Where that changes CA files, clustermesh-apiserver is restarted"
		}
	case r.m.oneCA():
		recipe, reason = Cross, "all clusters have the same CA: there is nothing to federate"
	case err != nil:
		return fmt.Errorf("%w: %w", errRefused, err)
	case r.Action == Repair:
		reason = "it works at once with every owner. It ends when somebody issues the leaf certificates again"
	}
	r.recipe, r.m.recipe, r.report.Recipe, r.report.Reason = recipe, recipe, string(recipe), reason
	if r.m.oneCA() {
		return nil
	}
	if err := r.check(r.m); err != nil {
		return err
	}
	return r.preflight(ctx)
}

// next is the phase that is to be done next. Without an observation nothing is known of the processes, and nothing is restarted.
func (r *run) next() (Phase, error) {
	at, err := r.m.positions(r.ID)
	if err != nil {
		return Phase{}, err
	}
	phase := Next(r.m.recipe, r.m.off, at)
	if r.m.oneCA() {
		return Phase{Kind: Done}, nil
	}
	if r.Wait == 0 && phase.Kind == Done {
		phase.Gate = Gate{}
	}
	return phase, nil
}

// carryOn asks, then does phase after phase.
func (r *run) carryOn(ctx context.Context) error {
	phase, err := r.next()
	if err != nil || r.DryRun != cli.DryRunNone {
		return err
	}
	if phase.Kind == Done { // what is not connected is reported, and not waited for
		r.report.Reason += ". Nothing has to be changed"
		r.release(ctx)
		return nil
	}
	r.fill()
	if err := r.ui.Show(func(bool) []output.Section { return r.Show(r.report) }, true); err != nil {
		return err
	}
	question := map[Action]string{
		Federate: "Make %s trust each other with their own CAs?",
		Off:      "Separate %s again, so that they do not trust each other?",
		Repair:   "Add cross certificates in %s?",
	}[r.Action]
	if err := r.ui.Confirm(ctx, fmt.Sprintf(question, strings.Join(r.names(), ", "))); err != nil {
		return err
	}
	r.report.Phases, r.report.Changes = nil, nil
	defer func() { r.release(ctx) }()
	for {
		if phase, err = r.next(); err != nil {
			return err
		}
		opened, waited, err := r.await(ctx, phase)
		switch {
		case err != nil:
			return err
		case opened && phase.Kind == Done:
			return nil
		case opened:
			if err := r.carryOut(ctx, phase, waited); err != nil {
				return err
			}
			if err := r.reread(ctx); err != nil {
				return err
			}
		}
	}
}

// await looks until the gate of a phase is open. It returns false when another phase is to be done instead.
func (r *run) await(ctx context.Context, phase Phase) (opened bool, waited time.Duration, err error) {
	begun := r.Clock.Now()
	for {
		missing := []string{}
		if phase.Gate != (Gate{}) {
			missing = r.m.missing(phase.Gate)
		}
		r.report.Waiting = missing
		if len(missing) == 0 {
			return true, r.Clock.Now().Sub(begun), nil
		}
		if r.said != string(phase.Kind) {
			r.said = string(phase.Kind)
			r.ui.Say("Waiting: %s (%d in all)", missing[0], len(missing))
		}
		if r.Clock.Now().Sub(begun) > r.Wait {
			return false, 0, fmt.Errorf("%w (%s, --wait): %s. What was written is safe; to go on, run: %s", ErrWaiting, r.Wait, missing[0], r.command())
		}
		if err := r.again(ctx); err != nil {
			return false, 0, err
		}
		if now, err := r.next(); err != nil || now.Kind != phase.Kind || !slices.Equal(now.Clusters, phase.Clusters) {
			return false, 0, err
		}
	}
}

// again waits a moment and reads everything again.
func (r *run) again(ctx context.Context) error {
	if err := r.Clock.Sleep(ctx, r.Poll); err != nil {
		return err
	}
	return r.reread(ctx)
}

// reread reads everything again. A cluster that does not answer is waited for, until --wait is over: nothing is decided without it.
func (r *run) reread(ctx context.Context) error {
	for begun, said := r.Clock.Now(), false; ; said = true {
		err := r.read(ctx)
		renewed := r.renew(ctx) // also where a cluster could not be read: the others must not be taken meanwhile
		if err == nil || errors.Is(renewed, errTaken) {
			err = renewed
		}
		switch {
		case err == nil || ctx.Err() != nil || errors.Is(err, errTaken):
			return err
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || r.Clock.Now().Sub(begun) >= r.Wait:
			return fmt.Errorf("%w. What was written is safe; to go on, run: %s", err, r.command())
		case !said:
			r.ui.Say("Waiting: %v", err)
		}
		if err := r.Clock.Sleep(ctx, r.Poll); err != nil {
			return err
		}
	}
}

func (r *run) carryOut(ctx context.Context, phase Phase, waited time.Duration) error {
	begun := r.Clock.Now()
	if err := r.renew(ctx); err != nil {
		return err
	}
	plan, err := r.plan(r.m, phase)
	if err != nil {
		return r.unbegun(err)
	}
	r.ui.Say("%s", r.m.sentence(phase))
	if err := plan.Preflight(ctx, r.Change); err != nil {
		r.record(plan)
		return err
	}
	options := r.Change
	events, end := r.ui.Progress()
	options.Events = events
	err = plan.Apply(ctx, options)
	end()
	r.record(plan)
	r.wrote = true
	if err != nil {
		return err
	}
	err = r.settled(ctx, phase)
	took, waitedMs := r.Clock.Now().Sub(begun).Milliseconds(), waited.Milliseconds()
	r.report.Phases = append(r.report.Phases, v1alpha1.RotationPhase{Name: string(phase.Kind), Description: r.m.sentence(phase), Clusters: phase.Clusters, WaitedMs: &waitedMs, TookMs: &took})
	return err
}

// settled waits until the writes of a phase have had their effect, where the next phase depends on that.
func (r *run) settled(ctx context.Context, phase Phase) error {
	switch phase.Kind {
	case Restart: // before the pods are replaced, the old ones look as if they had to be restarted
		return r.settle(ctx, func() bool { return len(r.m.missing(Gate{})) == 0 })
	case Refresh: // the comment reaches the clients with the next sync of their kubelets
		return r.settle(ctx, func() bool {
			return !slices.ContainsFunc(phase.Clusters, func(name string) bool { return r.m.behind(r.m.cluster(name)) })
		})
	}
	return nil
}

// settle waits until the processes have done what the writes of a phase make them do.
func (r *run) settle(ctx context.Context, done func() bool) error {
	for begun := r.Clock.Now(); ; {
		if err := r.again(ctx); err != nil {
			return err
		}
		if done() {
			return nil
		}
		if r.Clock.Now().Sub(begun) > r.Wait {
			return fmt.Errorf("%w (%s, --wait). What was written is safe; to go on, run: %s", ErrWaiting, r.Wait, r.command())
		}
	}
}
