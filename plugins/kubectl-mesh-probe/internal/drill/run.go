// Package drill proves a failover: it takes the backends of one cluster away from a Service, measures what clients in every cluster see, and
// restores what it changed.
//
// Run and Repair are the only entries. They know no command line and print nothing: they return a report, and what happens meanwhile goes to a
// UI. What is decided (refusals, the forecast, the analysis of the requests) is pure.
//
// A drill writes in this order, so that the previous state can be restored from any machine after a crash between any two writes:
//
//  1. the record with all previous values, in the namespace of the Service in the drilled cluster,
//  2. each object, if it is still as recorded,
//  3. each object again, with its previous value, if it still has the one that the drill wrote,
//  4. the record is deleted.
package drill

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	authnv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// run is one drill on its way.
type run struct {
	Config
	ui UI

	sel       *clusters.Selection
	target    *clusters.Member // the drilled cluster
	namespace string
	key       routing.Key
	port      int32
	url       string
	clients   []string // the clusters whose clients send requests
	state     *meshstate.State
	backends  backends
	forecast  forecast
	record    *drillrecord.Record
	store     *drillrecord.Step
	steps     []*step
	restored  *restoration // what became of the restoration; nil before it

	start starter
	watch *watch
	marks marks
}

// Run drills: it plans, checks, shows, asks, watches, writes, and restores. An error with a report is a *ResultError.
func Run(ctx context.Context, c Config, ui UI) (*Report, error) {
	return runWith(ctx, c, ui, startWatch)
}

// runWith is Run with another source of requests, for tests.
func runWith(ctx context.Context, c Config, ui UI, start starter) (*Report, error) {
	sel, err := c.choose(ctx, ui)
	if err != nil {
		return nil, err
	}
	r := &run{Config: c, ui: ui, sel: sel, namespace: c.Namespace(sel.Home()), start: start}
	if err := r.find(ctx); err != nil {
		return nil, err
	}
	if err := r.findClients(); err != nil {
		return nil, err
	}
	r.marks = marks{cluster: r.target.Name, with: r.With}
	if err := r.plan(ctx); err != nil {
		return r.refused(ctx, err)
	}
	if err := r.checkClients(ctx); err != nil {
		return r.refused(ctx, err)
	}
	if r.DryRun == DryRunClient {
		return r.planned()
	}
	if err := r.changes().Preflight(ctx, r.Change); err != nil {
		return r.refused(ctx, r.preflightError(err))
	}
	if r.DryRun == DryRunServer {
		return r.planned()
	}
	if err := r.ui.Plan(r.document(statePlanned)); err != nil {
		return nil, err
	}
	if err := r.ui.Confirm(ctx, r.question()); err != nil {
		report, _ := r.refused(ctx, err)
		report.Begun = false
		return report, err
	}
	return r.carryOut(ctx)
}

// plan finds what is to be changed, and refuses what cannot be restored or would leave clients without a backend.
func (r *run) plan(ctx context.Context) error {
	found, notes, err := r.look(ctx)
	if err != nil {
		// What is wrong may be what a killed drill left, and then its record has the way out.
		if rec, problem := r.other(ctx, ""); problem == nil && rec != nil {
			return r.underWay(rec)
		}
		return err
	}
	r.backends = found
	r.prepare(ctx)
	for _, n := range notes {
		r.ui.Note("Note: %s", n)
	}
	return r.alone(ctx, r.record.ID)
}

// look reads the backends as they are now, and says why they cannot be taken away. The forecast is that of the state that was read last.
func (r *run) look(ctx context.Context) (found backends, notes []string, err error) {
	if err := r.unfound(); err != nil {
		return found, nil, err
	}
	found.service = r.state.Services[r.target.Name][r.key]
	read := reader{member: r.target, namespace: r.key.Namespace, opts: r.Change}
	var reads []func(context.Context, *backends) error
	switch r.With {
	case drillrecord.Shared:
	case drillrecord.Evict:
		reads = append(reads, read.readPods, read.readBudgets)
	case drillrecord.Scale:
		reads = append(reads, read.readPods, read.readWorkloads, read.readScalers)
	}
	for _, read := range reads {
		if err := read(ctx, &found); err != nil {
			return found, nil, err
		}
	}
	reasons, notes := refusals(&found, r.With, r.target.Name)
	r.forecast = foresee(&r.state.Snapshot, r.target.Name, r.key, r.port, r.With)
	if len(reasons) > 0 {
		return found, nil, errors.New(strings.Join(reasons, "; "))
	}
	return found, notes, r.forecast.err(r.target.Name, r.With, r.clients)
}

// prepare makes the record and the steps.
func (r *run) prepare(ctx context.Context) {
	r.record = &drillrecord.Record{ID: rand.Text(), Service: r.key, Cluster: r.target.Name, ClusterUID: r.target.UID, With: r.With, By: r.user(ctx), Since: r.Now().UTC().Truncate(time.Second)}
	add := func(c drillrecord.Change, have metav1.Object) {
		c.Name, c.UID = have.GetName(), have.GetUID()
		r.record.Changes = append(r.record.Changes, c)
		r.steps = append(r.steps, newStep(r.target, c, have, r.Manager))
	}
	switch r.With {
	case drillrecord.Shared:
		svc := r.backends.service
		add(drillrecord.Change{Kind: change.Service.Name, Field: drillrecord.FieldShared, Before: valueOf(svc, drillrecord.FieldShared), After: ptr.To("false")}, svc)
	case drillrecord.Evict:
		for _, p := range r.backends.pods {
			add(drillrecord.Change{Kind: change.EvictedPod.Name}, &p)
		}
	case drillrecord.Scale:
		for _, w := range r.backends.workloads {
			add(drillrecord.Change{Kind: w.kind.Name, Field: drillrecord.FieldReplicas, Before: valueOf(w.object, drillrecord.FieldReplicas), After: ptr.To("0")}, w.object)
		}
	}
	r.store = drillrecord.Store(r.record, r.target, r.Manager)
}

// user says who we are, for a second person who finds the record.
func (r *run) user(ctx context.Context) string {
	user := "somebody"
	// An API server that does not tell does not stop the drill: the name only helps people.
	_ = fanout.Do(ctx, r.Change.Timeout, func(ctx context.Context) error {
		review, err := r.target.Client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authnv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err == nil && review.Status.UserInfo.Username != "" {
			user = review.Status.UserInfo.Username
		}
		return err
	})
	return user + " on " + r.Host
}

// changes are the record and the writes that take the backends away, as one change.
func (r *run) changes() *change.Plan {
	var away []change.Step
	for _, s := range r.steps {
		away = append(away, s)
	}
	return &change.Plan{Action: "drill", Phases: []*change.Phase{{Steps: []change.Step{r.store}}, {Steps: away, Gate: r.stillPossible, Before: r.stillRecorded}}}
}

// errChanged says that the drill would not do what was shown. Nothing was written to the backends.
var errChanged = errors.New("changed since the drill was planned; run the command again")

// stillPossible is asked once the record is stored, before the first write that takes backends away: the question may have been open for long, and
// another drill may have begun. Of two that begin at once, at least one sees the other's record.
func (r *run) stillPossible(ctx context.Context) error {
	if err := r.alone(ctx, r.record.ID); err != nil {
		return err
	}
	affected := r.forecast.affected
	r.read(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now, _, err := r.look(ctx)
	switch {
	case err != nil:
		return err
	case !slices.Equal(r.backends.objects(r.With), now.objects(r.With)):
		return fmt.Errorf("the backends of Service %s in %s %w", r.key, r.target.Name, errChanged)
	case !maps.Equal(affected, r.forecast.affected):
		return fmt.Errorf("the clients that use the backends in %s %w", r.target.Name, errChanged)
	}
	return nil
}

// errRecordGone says that a drill was ended from outside.
var errRecordGone = errors.New("the record of the drill was deleted: somebody repaired the drill")

// stillRecorded is asked before each write: once a repair has deleted the record, nothing tells the next one what to restore.
func (r *run) stillRecorded(ctx context.Context, _ change.Step) error {
	now, err := fanout.Within(ctx, r.Change.Timeout, r.record.Now)
	if err == nil && now == nil {
		return errRecordGone
	}
	return err
}

// preflightError names what failed, since the changes are not shown then.
func (r *run) preflightError(err error) error {
	for _, s := range append([]change.Step{r.store}, r.changes().Phases[1].Steps...) {
		if o := s.Status(); o.Result == v1alpha1.ResultFailed || o.Result == v1alpha1.ResultRefused {
			return fmt.Errorf("%w: %s: %s", err, s.Target(), o.Message)
		}
	}
	return err
}

// question says what is about to happen.
func (r *run) question() string {
	what := map[drillrecord.With]string{
		drillrecord.Scale:  "scale the backends of %s in %s to 0 for %s, and restore them",
		drillrecord.Evict:  "evict the backends of %s in %s, and watch the clients for %s",
		drillrecord.Shared: "stop sharing the backends of %s in %s for %s, and share them again",
	}[r.With]
	return fmt.Sprintf("Drill: "+what+". Go on?", r.key, r.target.Name, r.Times.Hold)
}
