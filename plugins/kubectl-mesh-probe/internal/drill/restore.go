package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
)

// restoration restores what a record names. It can be tried any number of times, by anybody: an object that has its previous value already is left
// as it is, and so is one that has another value than the drill wrote.
type restoration struct {
	Write
	ui     UI
	record *drillrecord.Record // as it is stored or, where it is missing, as it was
	// changes say what became of each object.
	changes []v1alpha1.DrillChange
	writes  firstWrite
	// removing: all objects are settled, and the deletion of the record was sent. Its answer may have been lost.
	removing bool
	missing  bool // the record was deleted by somebody else
	done     bool // the record is gone, and all objects are settled
}

func newRestoration(rec *drillrecord.Record, w Write, ui UI) *restoration {
	return &restoration{Write: w, ui: ui, record: rec, writes: firstWrite{now: w.Now}}
}

// firstWrite notes when the first write was sent that wrote something. The writes of a drill follow each other.
type firstWrite struct {
	now  func() time.Time
	at   time.Time
	step *step
}

// heed is told what happens.
func (f *firstWrite) heed(e change.Event) {
	s, ok := e.Step.(*step)
	if !ok || e.Kind != change.Begun {
		return
	}
	if f.step == nil || !f.step.Written {
		f.step, f.at = s, history.Steady(f.now())
	}
}

// time is zero if nothing was written.
func (f *firstWrite) time() time.Time {
	if f.step == nil || !f.step.Written {
		return time.Time{}
	}
	return f.at
}

// retryEvery is how long to wait before restoring is tried again.
const retryEvery = time.Second

// run restores. It tries again until it succeeds or until the deadline. The context may end it earlier.
func (r *restoration) run(ctx context.Context) error {
	deadline := r.Now().Add(r.RestoreWithin)
	last := ""
	for {
		err := r.once(ctx)
		if err == nil || ctx.Err() != nil || final(err) {
			return err
		}
		if r.Now().After(deadline) {
			return fmt.Errorf("%w; tried for %s (--restore-timeout)", err, r.RestoreWithin)
		}
		if err.Error() != last {
			last = err.Error()
			open := "the previous values are not restored yet"
			if r.record.With == drillrecord.Evict {
				open = "the record of the drill is not deleted yet"
			}
			r.ui.Warn("%s: %v; retrying until %s (--restore-timeout)", open, err, deadline.Format(time.TimeOnly))
		}
		timer := time.NewTimer(retryEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// final reports whether trying again would not help. A missing permission is none of these: an API server that has just started knows no roles.
func final(err error) bool {
	return errors.Is(err, errRebuilt) || errors.Is(err, drillrecord.ErrUnreadable) || apierrors.IsInvalid(err)
}

// errRebuilt says that the record is not of the cluster in which it is stored.
var errRebuilt = errors.New("the record is of another cluster: this one was rebuilt since, or the record was copied to it; if nothing has to be restored here, delete the ConfigMap")

// once reads the record and the objects, and writes what is to be written. Where the record is gone, the objects are restored anyway: what the record
// said is known.
func (r *restoration) once(ctx context.Context) error {
	now, err := fanout.Within(ctx, r.Change.Timeout, r.record.Now)
	switch {
	case err != nil:
		return fmt.Errorf("cluster %q: %w", r.record.Member.Name, err)
	case now == nil && r.removing:
		r.done = true
		return nil
	case now != nil:
		r.record = now
	}
	r.missing = now == nil
	steps, err := r.plan(ctx)
	if err != nil {
		return err
	}
	p := &change.Plan{Action: "restore", Phases: []*change.Phase{{Steps: steps}}}
	if !r.missing {
		p.Phases = append(p.Phases, &change.Phase{Steps: []change.Step{drillrecord.Remove(r.record)}})
	}
	o := r.Change
	o.Events = func(e change.Event) {
		r.writes.heed(e)
		if _, ok := e.Step.(*drillrecord.Step); ok && e.Kind == change.Begun {
			r.removing = true
		}
	}
	err = p.Apply(ctx, o)
	r.settle(steps)
	if err == nil {
		r.done = true
	}
	return err
}

// The results of an object that is restored, besides those of a ChangeReport.
const (
	resultRestored = "restored"
	resultLeft     = v1alpha1.ResultSkipped
)

// plan compares each object with the record, and returns the writes that restore it.
func (r *restoration) plan(ctx context.Context) ([]change.Step, error) {
	if r.record.Rebuilt(r.record.Member) {
		return nil, fmt.Errorf("%s: %w. If nothing of it has to be restored, run: %s", r.record.Place(), errRebuilt, r.record.DeleteCommand())
	}
	others, err := r.others(ctx)
	if err != nil {
		return nil, err
	}
	previous := r.changes
	r.changes = nil
	var steps []change.Step
	for i, c := range r.record.Changes {
		s, what, err := r.compare(ctx, c)
		if err != nil {
			r.changes = previous
			return nil, err
		}
		if at := slices.IndexFunc(others, func(o *drillrecord.Record) bool { return o.Touches(c.Kind, c.Name) }); at >= 0 && s != nil {
			s, what.Result, what.Message = nil, resultLeft, "changed by another drill since, begun by "+others[at].Who()
		}
		// What an earlier attempt restored has its previous value now.
		if i < len(previous) && previous[i].Result == resultRestored && what.Result == v1alpha1.ResultUnchanged {
			what = previous[i]
		}
		r.changes = append(r.changes, what)
		if s != nil {
			steps = append(steps, s)
		}
	}
	return steps, nil
}

// others are the drills that may have begun once the record was gone: what they wrote is theirs to restore. While the record is stored, none begins.
func (r *restoration) others(ctx context.Context) ([]*drillrecord.Record, error) {
	if !r.missing {
		return nil, nil
	}
	found, problems := drillrecord.List(ctx, []*clusters.Member{r.record.Member}, r.Change.Timeout, r.record.Service.Namespace)
	// A record that cannot be read says nothing about who wrote an object, and must not keep it from being restored.
	problems = slices.DeleteFunc(problems, func(p *drillrecord.ProblemError) bool { return p.Service != "" })
	return found, drillrecord.Join(problems)
}

// compare compares one object with the record. It returns the step that restores it, nil if there is none, and what becomes of it.
func (r *restoration) compare(ctx context.Context, c drillrecord.Change) (*step, v1alpha1.DrillChange, error) {
	what := v1alpha1.DrillChange{Cluster: r.record.Member.Name, Namespace: r.record.Service.Namespace, Object: c.Kind + "/" + c.Name, Field: c.Field, Before: c.After, After: c.Before}
	left := func(format string, args ...any) (*step, v1alpha1.DrillChange, error) {
		what.Result, what.Message = resultLeft, fmt.Sprintf(format, args...)
		return nil, what, nil
	}
	if c.Kind == change.EvictedPod.Name {
		what.Result, what.Message = v1alpha1.ResultUnchanged, "what controls the pod replaces it"
		return nil, what, nil
	}
	target := targetOf(r.record.Member, r.record.Service.Namespace, c)
	have, err := fanout.Within(ctx, r.Change.Timeout, target.Get)
	switch {
	case apierrors.IsNotFound(err):
		return left("deleted since the drill began")
	case err != nil:
		return nil, what, fmt.Errorf("cluster %q: read %s: %w", r.record.Member.Name, target, lacking(err, accessTo(c.Kind), target.Namespace))
	case have.GetUID() != c.UID:
		return left("recreated since the drill began")
	}
	switch now := valueOf(have, c.Field); {
	case same(now, c.Before):
		what.Result = v1alpha1.ResultUnchanged
		return nil, what, nil
	case !same(now, c.After):
		return left("changed to %s by somebody else since the drill began", show(now))
	}
	what.Result = v1alpha1.ResultPlanned
	return backwards(r.record.Member, c, have, r.Manager), what, nil
}

// settle copies what became of the steps into the changes.
func (r *restoration) settle(steps []change.Step) {
	for _, s := range steps {
		for i := range r.changes {
			if c := &r.changes[i]; c.Object == s.Target().Kind.Name+"/"+s.Target().Name {
				c.Result, c.Message = s.Status().Result, s.Status().Message
				if c.Result == v1alpha1.ResultChanged {
					c.Result = resultRestored
				}
			}
		}
	}
}

// left are the objects that were not restored because they are not as the drill left them.
func left(changes []v1alpha1.DrillChange) []string {
	var out []string
	for _, c := range changes {
		if c.Result == resultLeft {
			out = append(out, c.Object+" "+c.Message)
		}
	}
	return out
}

// unsettled are the objects that are not known to have their previous values, with these.
func (r *restoration) unsettled() []string {
	var out []string
	for i, c := range r.record.Changes {
		if c.Kind == change.EvictedPod.Name || i < len(r.changes) && (r.changes[i].Result == resultRestored || r.changes[i].Result == v1alpha1.ResultUnchanged) {
			continue
		}
		out = append(out, fmt.Sprintf("%s/%s %s: %s", c.Kind, c.Name, c.Field, show(c.Before)))
	}
	return out
}

// show shows a value as a message does.
func show(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return *v
}
