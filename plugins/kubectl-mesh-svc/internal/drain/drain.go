// Package drain takes a cluster out of every global service, and restores it.
package drain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
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

// Config says which cluster is drained or undrained, and how.
type Config struct {
	kernel.Write

	// Select finds the members.
	Select  func(context.Context) (*clusters.Selection, error)
	Cluster string
	// SkipRefused leaves Services as they are that cannot be drained. It is for draining only.
	SkipRefused bool
	// Forget also deletes the record of Services that a rebuilt cluster does not have. It is for undraining only.
	Forget bool
	Host   string // the name of this machine, for the record
	Now    func() time.Time
}

// run is one drain, or one undrain, on its way.
type run struct {
	Config
	ui kernel.UI

	sel      *clusters.Selection
	target   *clusters.Member   // the cluster that is drained
	others   []*clusters.Member // the other members, sorted by name
	state    *meshstate.State
	plan     *annotate.Plan
	record   *drainrecord.Record // nil where there is none
	keeper   *clusters.Member    // the member that keeps the record
	shifts   []v1alpha1.Shift
	undoFile string
	restores bool // it is an undrain
}

// command is a command about this cluster, over all members that were read.
func (r *run) command(verb string) string {
	mesh := commandline.MeshOf(r.sel.Members)
	return plugin.Command(mesh, "", verb, mesh.Cluster(r.target.Name))
}

// again is this drain as it is typed again, with every flag without which it would be refused.
func (r *run) again() string {
	mesh := commandline.MeshOf(r.sel.Members)
	words := []string{"drain", mesh.Cluster(r.target.Name)}
	if r.SkipRefused {
		words = append(words, "--skip-refused")
	}
	return plugin.Command(mesh, "", append(words, r.RetryFlags...)...)
}

// begin finds the members, and the cluster that is meant among them.
func begin(ctx context.Context, c Config, ui kernel.UI, verb string) (*run, error) {
	sel, err := c.Select(ctx)
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, ui: ui, sel: sel}
	found, err := sel.Resolve(verb, []string{c.Cluster})
	if err != nil {
		ui.Unread(sel.Members...)
		return nil, err
	}
	m := found[0]
	if m.Err == nil && m.Name != m.Config.ClusterName {
		return nil, fmt.Errorf("more than one cluster that is read is called %q; name the contexts of one mesh with --contexts: the record of a drain is kept under Cilium's name", m.Config.ClusterName)
	}
	r.target, r.plan = m, &annotate.Plan{Action: verb + " " + m.Name}
	for _, other := range sel.Members {
		if other != m {
			r.others = append(r.others, other)
		}
	}
	slices.SortStableFunc(r.others, func(a, b *clusters.Member) int { return strings.Compare(a.Name, b.Name) })
	r.state = meshstate.Read(ctx, sel.Members, c.Change.Timeout, meshstate.Query{Objects: true})
	r.seen(r.state)
	ui.Unseen(r.sel.Members)
	return r, nil
}

// seen replaces the members by what they are in a state that was read.
func (r *run) seen(st *meshstate.State) {
	sel := *r.sel
	sel.Members = st.Now(sel.Members)
	r.sel, r.others, r.target = &sel, st.Now(r.others), st.Now([]*clusters.Member{r.target})[0]
}

// readable are the members without an error.
func readable(members []*clusters.Member) []*clusters.Member {
	return slices.DeleteFunc(slices.Clone(members), func(m *clusters.Member) bool { return m.Err != nil })
}

// user says who we are, for a second person who finds the record.
func (r *run) user(ctx context.Context, m *clusters.Member) string {
	user := "somebody"
	// An API server that does not tell does not stop the drain: the name only helps people.
	_ = fanout.Do(ctx, r.Change.Timeout, func(ctx context.Context) error {
		review, err := m.Client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authnv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err == nil && review.Status.UserInfo.Username != "" {
			user = review.Status.UserInfo.Username
		}
		return err
	})
	return user + " on " + r.Host
}

// Run drains a cluster: it plans, checks, shows, asks, records and writes. The writes are in this order, so that an interruption between any two of
// them leaves nothing that a second drain or an undrain does not set right. Before the first one the prediction is made again, and after the second
// once more if another cluster is being drained: of two drains at once, at least one sees the other's record.
//
//  1. the undo file on this machine, as for every write,
//  2. the record in another cluster with all previous values, as draining,
//  3. each Service: shared=false and its previous value, in one patch, if the record is still our own,
//  4. the record, as drained.
func Run(ctx context.Context, c Config, ui kernel.UI) (*Report, error) {
	r, err := begin(ctx, c, ui, "drain")
	if err != nil {
		return nil, err
	}
	switch {
	case ctx.Err() != nil:
		return r.unplanned(ctx.Err())
	case r.target.Err != nil:
		return r.unplanned(r.unreachable())
	}
	if err := r.certain(); err != nil {
		return r.unplanned(err)
	}
	if err := r.findRecord(ctx); err != nil {
		return r.unplanned(err)
	}
	found := *r.record
	drainplan.Adopt(r.state, r.target, r.record)
	r.plan = drainplan.Drain(r.state, r.target, r.record, r.keeper.Name)
	r.plan.Manager, r.plan.Former, r.plan.Local = c.Manager, r.record.Manager, plugin.Display+" unshare"
	write.SayOwners(r.plan, ui)
	if err := r.check(ctx); err != nil {
		return r.report(err)
	}
	entries := drainplan.Entries(r.state, r.plan, r.record)
	r.record.Put(entries...)
	r.shifts = drainplan.Shifts(r.state, r.plan, r.target.Name)
	fresh := found.Member == nil
	switch {
	case fresh && len(r.record.Entries) == 0, !fresh && len(entries) == 0 && r.record.State == drainrecord.Drained:
		return r.report(r.leftOut()) // nothing to drain, or drained already
	case c.DryRun == cli.DryRunClient:
		return r.report(r.leftOut())
	}
	if err := r.checkStore(ctx); err != nil {
		return r.notBegun(found, err)
	}
	if c.DryRun == cli.DryRunServer {
		return r.report(r.leftOut())
	}
	if err := r.ask(ctx); err != nil {
		report, err := r.notBegun(found, err)
		report.Begun = false
		return report, err
	}
	if err := r.replan(ctx, nil); err != nil {
		return r.notBegun(found, err)
	}
	return r.carryOut(ctx, found)
}

// checkStore lets the API server check a new record, now that it is known what is in it.
func (r *run) checkStore(ctx context.Context) error {
	if r.record.Member != nil || r.Change.AccessOnly {
		return nil
	}
	step := r.store()
	err := fanout.Do(ctx, r.Change.Timeout, func(ctx context.Context) error { _, err := step.Send(ctx, true); return err })
	switch {
	case errors.Is(err, drainrecord.ErrTaken):
		return r.takenError(ctx, err)
	case err != nil:
		return fmt.Errorf("cluster %q: dry run of the record: %w; nothing was written in any cluster", r.keeper.Name, err)
	}
	return nil
}

// store is the step that stores the record as that of a drain that is under way.
func (r *run) store() *drainrecord.Step {
	return drainrecord.Store(r.record, r.keeper, func(rec *drainrecord.Record) { rec.State = drainrecord.Draining })
}

// ask shows the plan and the shift of traffic, and asks.
func (r *run) ask(ctx context.Context) error {
	if err := r.ui.Show(func(wide bool) []output.Section { return view.DrainPlan(r.document(), wide) }, true); err != nil {
		return err
	}
	question := fmt.Sprintf("Drain %s: %s will no longer be offered to other clusters. Go on?", r.target.Name, services(len(r.plan.Pending())))
	if r.record.Member != nil {
		question = fmt.Sprintf("%s is being drained since %s, which may have been interrupted. %s", r.target.Name, r.record.Who(), question)
	}
	return r.ui.Confirm(ctx, question)
}

// carryOut writes the undo file and then, as one change, the record, the Services, and the record again. found is the record as it was found.
func (r *run) carryOut(ctx context.Context, found drainrecord.Record) (*Report, error) {
	if len(r.plan.Pending()) > 0 {
		var err error
		if r.undoFile, err = r.plan.Save(r.Now()); err != nil {
			return r.notBegun(found, err)
		}
	}
	store := r.store()
	complete := drainrecord.Store(r.record, r.keeper, func(rec *drainrecord.Record) { rec.State = drainrecord.Drained })
	var stopped error // why no Service was written
	steps := &change.Plan{Action: r.plan.Action, Phases: []*change.Phase{
		{Steps: []change.Step{store}},
		{Steps: r.plan.Steps(), Gate: func(ctx context.Context) error {
			stopped = r.clear(ctx, found)
			return stopped
		}},
		{Steps: []change.Step{complete}},
	}}
	events, end := r.ui.Progress()
	r.Change.Events = events
	err := steps.Apply(ctx, r.Change)
	end()
	switch {
	case err == nil:
		return r.report(r.leftOut())
	case stopped != nil:
		return r.report(stopped)
	case store.Result != v1alpha1.ResultChanged:
		return r.notStored(ctx, found, err)
	case complete.Result == v1alpha1.ResultFailed, complete.Result == v1alpha1.ResultUnknown:
		return r.report(r.incompleteError(ctx, err))
	case ctx.Err() != nil:
		return r.report(err)
	}
	// It may be an undrain that wrote meanwhile, and then there is no record to go on with.
	ours := r.record
	if taken := r.checkRecord(ctx); r.record != ours {
		err = errors.Join(err, taken)
	}
	return r.report(err)
}

// clear is asked once the record is stored, and before the first Service is written: nobody else may drain the same cluster, what another drain is
// about to write must not change the prediction, and the record must still be ours.
func (r *run) clear(ctx context.Context, found drainrecord.Record) error {
	if found.Member == nil {
		if err := r.alone(ctx); err != nil {
			return errors.Join(err, r.discard())
		}
	}
	if err := r.checkOtherDrains(ctx); err != nil {
		if ctx.Err() == nil { // what an interrupt leaves is continued or undone by the next command
			err = errors.Join(err, r.withdraw(ctx, found))
		}
		return err
	}
	ours := r.record
	if err := r.checkRecord(ctx); err != nil {
		if r.record == ours && ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.Join(fmt.Errorf("%w; no Service was changed, run the command again", err), r.discard())
	}
	return nil
}

// alone looks for a record of the same drain in another member: of two drains that begin at once, with records in two members, at most one goes on.
func (r *run) alone(ctx context.Context) error {
	records, unread := drainrecord.Search(ctx, readable(r.others), r.Change.Timeout, r.target.Name)
	if len(records) == 1 && (len(unread) == 0 || r.AllowPartial) {
		return nil
	}
	err := r.takenError(ctx, drainrecord.ErrTaken)
	if left := fanout.Do(ctx, r.Change.Timeout, r.record.Delete); left != nil {
		return errors.Join(err, errors.Join(unread...), fmt.Errorf("%s is left: %w", r.record.Place(), left))
	}
	r.record.Member = nil
	return errors.Join(err, errors.Join(unread...))
}

// notStored is a drain whose record could not be stored, so that no Service was changed.
func (r *run) notStored(ctx context.Context, found drainrecord.Record, err error) (*Report, error) {
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
	case r.record.Member == nil && errors.Is(err, drainrecord.ErrTaken):
		err = r.takenError(ctx, err)
	default:
		err = fmt.Errorf("%w; no Service was changed, run the command again", err)
	}
	return r.notBegun(found, errors.Join(err, r.discard()))
}
