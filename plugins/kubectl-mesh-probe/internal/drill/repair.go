package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// repair is a restoration of everything that drills left behind.
type repair struct {
	Place
	Write
	ui UI

	sel     *clusters.Selection
	members []*clusters.Member // where it looks for records
	records []*drillrecord.Record
	all     []*restoration // of the records that can be restored
	// problems are the records and the clusters that cannot: they do not keep the others from being repaired.
	problems []error
}

// Repair restores what drills changed and did not restore. It finds their records in the clusters, so it works from any machine.
func Repair(ctx context.Context, place Place, write Write, ui UI) (*Report, error) {
	sel, err := place.choose(ctx, ui)
	if err != nil {
		return nil, err
	}
	r := &repair{Place: place, Write: write, ui: ui, sel: sel, members: sel.Members}
	if place.In != "" {
		if r.members, err = sel.Resolve("--in", []string{place.In}); err != nil {
			return nil, err
		}
	}
	if err := r.find(ctx); err != nil {
		return nil, err
	}
	if len(r.records)+len(r.problems) == 0 {
		return r.nothing()
	}
	r.plan(ctx)
	if r.DryRun != DryRunNone || len(r.all) == 0 || ctx.Err() != nil {
		return r.report(ctx, ctx.Err())
	}
	for _, p := range r.problems {
		ui.Warn("%v", p)
	}
	if err := ui.Plan(r.document()); err != nil {
		return nil, err
	}
	if err := ui.Confirm(ctx, r.question()); err != nil {
		report, _ := r.report(ctx, err)
		report.Begun = false
		return report, err
	}
	var errs []error
	for _, one := range r.all {
		if err := one.run(ctx); err != nil {
			errs = append(errs, err)
		}
	}
	return r.report(ctx, errors.Join(errs...))
}

func (r *repair) find(ctx context.Context) error {
	namespace := r.Namespace(r.sel.Home())
	if r.AllNamespaces {
		namespace = ""
	}
	records, problems := drillrecord.List(ctx, readable(r.members), r.Change.Timeout, namespace)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.In != "" && r.members[0].Err != nil:
		return fmt.Errorf("cluster %s could not be read (%s); run the command again when it can be read: the cluster keeps the previous values until then", r.members[0].Label(), r.members[0].Err.Class)
	}
	r.records = slices.DeleteFunc(records, func(rec *drillrecord.Record) bool { return r.Service != "" && rec.Service.Name != r.Service })
	for _, p := range problems {
		if r.Service == "" || p.Service == "" || p.Service == r.Service {
			r.problems = append(r.problems, fmt.Errorf("cannot determine what drills left behind: %w", p))
		}
	}
	return nil
}

// nothing is the report where no record exists.
func (r *repair) nothing() (*Report, error) {
	what := "no drill left anything to restore"
	if r.Service != "" {
		what = "no drill of Service " + r.Service + " left anything to restore"
	}
	var looked []string
	for _, m := range readable(r.members) {
		looked = append(looked, m.Name)
	}
	where := "namespace " + r.Namespace(r.sel.Home())
	if r.AllNamespaces {
		where = "all namespaces"
	}
	doc := r.document()
	doc.Reason = fmt.Sprintf("%s in %s of %s. Nothing was changed.", what, where, strings.Join(looked, ", "))
	return r.finish(doc, nil)
}

// plan compares the objects with the records.
func (r *repair) plan(ctx context.Context) {
	for _, rec := range r.records {
		one := newRestoration(rec, r.Write, r.ui)
		if _, err := one.plan(ctx); err != nil {
			r.problems = append(r.problems, err)
			continue
		}
		r.all = append(r.all, one)
	}
}

// question says what is about to happen.
func (r *repair) question() string {
	var what []string
	for _, one := range r.all {
		what = append(what, fmt.Sprintf("%s in %s (begun by %s)", one.record.Service, one.record.Member.Name, one.record.Who()))
	}
	return fmt.Sprintf("Restore what the drill changed: %s. This ends a drill that is still under way. Go on?", strings.Join(what, ", "))
}

// document describes the repair.
func (r *repair) document() v1alpha1.DrillReport {
	doc := v1alpha1.DrillReport{Document: clusters.Document(kindReport, r.sel.Members), DryRun: string(r.DryRun), State: stateRestored, Changes: []v1alpha1.DrillChange{}}
	if r.In != "" {
		doc.Complete = r.members[0].Err == nil
	}
	for _, one := range r.all {
		doc.Changes = append(doc.Changes, one.changes...)
		if !one.done {
			doc.State = statePlanned
		}
	}
	if len(r.records) == 1 {
		rec := r.records[0]
		doc.Service, doc.Cluster, doc.With = rec.Service.String(), rec.Member.Name, string(rec.With)
		if len(r.all) == 0 || !r.all[0].done {
			doc.Record = describeRecord(rec, rec.Member)
		}
	}
	return doc
}

// report says what became of each object. err is why not all of those that can be restored are.
func (r *repair) report(ctx context.Context, err error) (*Report, error) {
	doc := r.document()
	if ctx.Err() == nil {
		err = errors.Join(append([]error{err}, r.problems...)...)
	}
	var changed []string
	for _, one := range r.all {
		changed = append(changed, left(one.changes)...)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		doc.State, doc.Complete = stateNotRestored, false
		return r.finish(doc, &ResultError{Interrupted: true, Err: err})
	case err != nil:
		doc.State, doc.Complete = stateNotRestored, false
		return r.finish(doc, &ResultError{Err: fmt.Errorf("not everything is restored: %w%s", err, r.others())})
	case len(changed) > 0 && r.DryRun == DryRunNone:
		doc.State, doc.Complete = stateNotRestored, false
		return r.finish(doc, &ResultError{Err: fmt.Errorf("not everything was restored, because somebody else changed it: %s", strings.Join(changed, "; "))})
	}
	return r.finish(doc, nil)
}

// others is the way around clusters that cannot be repaired now. It is empty where the user named one.
func (r *repair) others() string {
	if r.In != "" || len(r.members) < 2 {
		return ""
	}
	return "; to repair one cluster only, add --in CLUSTER"
}

// finish adds the error for members that could not be read: a record may be stored there.
func (r *repair) finish(doc v1alpha1.DrillReport, failure *ResultError) (*Report, error) {
	report := &Report{Document: doc, Begun: true, Unread: unread(r.members)}
	if failure == nil && len(report.Unread) > 0 {
		failure = &ResultError{Err: fmt.Errorf("%d of %d clusters could not be read; what a drill changed there is not restored%s", len(report.Unread), len(r.members), r.others())}
	}
	if failure == nil {
		return report, nil
	}
	report.Document.Reason = failure.Err.Error()
	return report, failure
}
