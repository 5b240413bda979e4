package change

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Preflight checks every pending step in all members at once: its permissions, then a server-side dry run with admission. Each request has its
// own deadline. Steps that fail are marked; the error says that nothing was written.
func (p *Plan) Preflight(ctx context.Context, o Options) error {
	byMember := map[*clusters.Member][]Step{}
	var members []*clusters.Member
	steps := p.Pending()
	for _, s := range steps {
		m := s.Target().Member
		if byMember[m] == nil {
			members = append(members, m)
		}
		byMember[m] = append(byMember[m], s)
	}
	var done atomic.Int64
	checked := func(s Step) { o.event(Checked, s, int(done.Add(1)), len(steps)) }
	results := fanout.Each(ctx, members, 0, func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		preflightMember(ctx, m, byMember[m], o, checked)
		return struct{}{}, nil
	})
	for _, r := range results {
		for _, s := range byMember[r.Member] {
			if r.Err != nil && pending(s) {
				settle(s, v1alpha1.ResultFailed, r.Err.Error())
			}
		}
	}
	if ctx.Err() != nil {
		p.Stop()
		return ctx.Err()
	}
	if p.Failed() && (!o.AllowPartial || len(p.Pending()) == 0) {
		p.Stop()
		return ErrPreflight
	}
	return nil
}

// preflightMember asks for each permission once, then lets the steps prepare and sends their dry runs, several at a time.
func preflightMember(ctx context.Context, m *clusters.Member, steps []Step, o Options, checked func(Step)) {
	heads, needs := needed(steps)
	var asked []permissions.Permission
	for _, h := range heads {
		for _, p := range needs[h] {
			if !slices.Contains(asked, p) {
				asked = append(asked, p)
			}
		}
	}
	answers := make([]error, len(asked))
	// Another context of the cluster may be permitted where this one is not. What is rejected is in answers, whichever it was.
	_ = m.Ask(ctx, func(ctx context.Context) error {
		fanout.Parallel(ctx, len(asked), func(n int) {
			answers[n] = fanout.Do(ctx, o.Timeout, func(ctx context.Context) error { return review(ctx, m, asked[n]) })
		})
		return errors.Join(answers...)
	})
	for _, h := range heads {
		if err := permitted(needs[h], asked, answers); err != nil && ctx.Err() == nil {
			settle(h, v1alpha1.ResultFailed, err.Error())
		}
	}
	// Marking a failed step also marks the step that it serves, which may be checked at that moment. So nothing is marked before all checks have ended.
	waiting := make([]bool, len(steps))
	for n, s := range steps {
		waiting[n] = pending(s)
	}
	found := make([]finding, len(steps))
	fanout.Parallel(ctx, len(steps), func(n int) {
		defer checked(steps[n])
		if waiting[n] {
			found[n] = check(ctx, steps[n], o)
		}
		if ctx.Err() != nil { // what an interrupt cut short has not failed
			found[n] = finding{}
		}
	})
	for _, parts := range []bool{false, true} { // a step's own reason says more than that of its backup
		for n, s := range steps {
			if _, part := s.(Part); part == parts && found[n] != (finding{}) && pending(s) {
				settle(s, found[n].result, found[n].message)
			}
		}
	}
}

// finding is why a step will not be sent; the zero value says that it may be.
type finding struct{ result, message string }

func failed(err error) finding { return finding{v1alpha1.ResultFailed, err.Error()} }

// needed collects the permissions of each step and of all that serve it: what one of them lacks, all lack.
func needed(steps []Step) (heads []Step, needs map[Step][]permissions.Permission) {
	needs = map[Step][]permissions.Permission{}
	for _, parts := range []bool{false, true} {
		for _, s := range steps {
			if _, part := s.(Part); part != parts {
				continue
			}
			h := head(s)
			if needs[h] == nil {
				heads = append(heads, h)
			}
			needs[h] = append(needs[h], s.Permissions()...)
		}
	}
	return heads, needs
}

// head is the step that a step serves, or itself.
func head(s Step) Step {
	if p, ok := s.(Part); ok {
		return p.Serves()
	}
	return s
}

// permitted joins what the reviews answered: all missing permissions are one error.
func permitted(needs, asked []permissions.Permission, answers []error) error {
	var lacking []permissions.Permission
	for _, p := range needs {
		err := answers[slices.Index(asked, p)]
		var missing *permissions.MissingError
		switch {
		case errors.As(err, &missing) && !slices.Contains(lacking, p):
			lacking = append(lacking, p)
		case err != nil && missing == nil:
			return fmt.Errorf("ask for permission: %w", err)
		}
	}
	if len(lacking) > 0 {
		return &permissions.MissingError{Permissions: lacking}
	}
	return nil
}

// Review asks an API server for permissions, all with one deadline each. A *permissions.MissingError names those that are not granted.
func Review(ctx context.Context, m *clusters.Member, timeout time.Duration, needed ...permissions.Permission) error {
	var lacking []permissions.Permission
	for _, p := range needed {
		err := fanout.Do(ctx, timeout, func(ctx context.Context) error { return review(ctx, m, p) })
		var missing *permissions.MissingError
		switch {
		case errors.As(err, &missing):
			lacking = append(lacking, missing.Permissions...)
		case err != nil:
			return err
		}
	}
	if len(lacking) > 0 {
		return &permissions.MissingError{Permissions: lacking}
	}
	return nil
}

func review(ctx context.Context, m *clusters.Member, p permissions.Permission) error {
	got, err := m.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authv1.ResourceAttributes{Namespace: p.Namespace, Verb: p.Verb, Group: p.Group, Resource: p.Resource, Name: p.Name},
	}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if !got.Status.Allowed {
		// The class makes Ask try another context of the same cluster.
		return &failure.Error{Class: failure.Forbidden, Err: &permissions.MissingError{Permissions: []permissions.Permission{p}}}
	}
	return nil
}

// check lets a step prepare, and sends its dry run. What admission would turn into something else is refused: the write would fail too, when it is
// read back, and leave the clusters after it as they were.
func check(ctx context.Context, s Step, o Options) finding {
	if prepared, ok := s.(Preparer); ok {
		if err := fanout.Do(ctx, o.Timeout, prepared.Prepare); err != nil {
			return failed(err)
		}
		if s.Status().Result != v1alpha1.ResultPlanned {
			return finding{} // there is nothing to do
		}
	}
	if o.AccessOnly {
		return finding{}
	}
	var got metav1.Object
	err := fanout.Do(ctx, o.Timeout, func(ctx context.Context) (err error) {
		got, err = s.Send(ctx, true)
		return err
	})
	if err != nil {
		return failed(explainDryRun(s, err))
	}
	if got == nil {
		return finding{}
	}
	if d := s.Diff(got); d != nil {
		return finding{v1alpha1.ResultRefused, "admission in the cluster " + d.verb("removes", "changes")}
	}
	return finding{}
}

// verb says what has become of a field, with the verbs for one that is gone and for one with another value.
func (d *Difference) verb(removes, changes string) string {
	switch {
	case d.Gone:
		return removes + " " + d.Field
	case d.Value == "":
		return changes + " " + d.Field
	}
	return changes + " " + d.Field + " to " + d.Value
}

// explainDryRun names the way out where an admission webhook cannot dry-run.
func explainDryRun(s Step, err error) error {
	switch {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrDeleted), errors.Is(err, ErrRecreated):
		return err
	case apierrors.IsBadRequest(err):
		return fmt.Errorf("%s: server-side dry run: %w; --preflight=access leaves it out", s.Target(), err)
	}
	return fmt.Errorf("%s: server-side dry run: %w", s.Target(), err)
}
