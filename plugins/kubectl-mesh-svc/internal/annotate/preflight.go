package annotate

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
)

// Options say how a plan is checked and applied.
type Options struct {
	Timeout        time.Duration // for one member's preflight and for one write
	AccessOnly     bool          // preflight asks for permission only, no server-side dry-run
	ForceConflicts bool
	AllowPartial   bool // go on without members that fail preflight
	// Progress is told how many of the items of a phase ("checked", "written") are through; nil for nobody. It may be called from several goroutines.
	Progress func(phase string, done, total int)
}

func (o Options) progress(phase string, done, total int) {
	if o.Progress != nil {
		o.Progress(phase, done, total)
	}
}

// Preflight checks every pending item in every member at once: owners, permission,
// then a server-side dry-run with admission. Items that fail are marked; the error says that nothing was written.
func (p *Plan) Preflight(ctx context.Context, o Options) error {
	byMember := map[*clusters.Member][]*Item{}
	var members []*clusters.Member
	total := 0
	for _, i := range p.Pending() {
		if c := i.conflict(p.exempt()); c != "" && !o.ForceConflicts {
			i.Result = v1alpha1.ResultRefused
			i.Message = c + ", which would write it again; change it there, or use --force-conflicts"
			continue
		}
		if byMember[i.Member] == nil {
			members = append(members, i.Member)
		}
		byMember[i.Member] = append(byMember[i.Member], i)
		total++
	}
	var done atomic.Int64
	checked := func() { o.progress("checked", int(done.Add(1)), total) }
	// The deadline is for each request: a plan may hold hundreds of Services of one member.
	results := clusters.Each(ctx, members, o.Timeout*time.Duration(2*total+1), func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		p.preflightMember(ctx, m, byMember[m], o, checked)
		return struct{}{}, nil
	})
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		for _, i := range byMember[r.Member] {
			if i.Result == v1alpha1.ResultPlanned {
				i.Result, i.Message = v1alpha1.ResultFailed, r.Err.Error()
			}
		}
	}
	if ctx.Err() != nil {
		p.Stop()
		return ctx.Err()
	}
	if p.Failed() && (!o.AllowPartial || len(p.Pending()) == 0) {
		p.Stop()
		return errors.New("preflight failed; nothing was written in any cluster")
	}
	return nil
}

// preflightMember asks for permission once for each namespace, then sends the dry-runs, several at a time.
func (p *Plan) preflightMember(ctx context.Context, m *clusters.Member, items []*Item, o Options, checked func()) {
	var namespaces []string
	for _, i := range items {
		if !slices.Contains(namespaces, i.Namespace) {
			namespaces = append(namespaces, i.Namespace)
		}
	}
	answers := make([]error, len(namespaces))
	// Another context of the cluster may be permitted where this one is not. What is refused stands in answers, whichever it was.
	_ = m.Permitted(ctx, func(ctx context.Context) error {
		clusters.Parallel(ctx, len(namespaces), func(n int) {
			answers[n] = within(ctx, o, func(ctx context.Context) error { return mayPatch(ctx, m, namespaces[n]) })
		})
		return errors.Join(answers...)
	})
	clusters.Parallel(ctx, len(items), func(n int) {
		defer checked()
		i := items[n]
		err := answers[slices.Index(namespaces, i.Namespace)]
		if err == nil && !o.AccessOnly {
			if err = within(ctx, o, func(ctx context.Context) error { return p.dryRun(ctx, i) }); err != nil {
				err = explainDryRun(err)
			}
		}
		// What an interrupt cut short has not failed.
		if err != nil && ctx.Err() == nil {
			i.Result, i.Message = v1alpha1.ResultFailed, err.Error()
		}
	})
}

// dryRun sends an item without writing it. What admission would make something else of is refused: the write would fail too,
// when it is read back, and leave the clusters after it as they were.
func (p *Plan) dryRun(ctx context.Context, i *Item) error {
	got, err := p.send(ctx, i, true)
	if err != nil {
		return err
	}
	if k, differs := i.differs(got); differs {
		i.Result = v1alpha1.ResultRefused
		if have := current(got, k); have != nil {
			i.Message = fmt.Sprintf("admission of the cluster changes %s to %s", k, Show(have))
		} else {
			i.Message = "admission of the cluster removes " + k
		}
	}
	return nil
}

// within gives one request its deadline, and names the flag that lengthens it.
func within(ctx context.Context, o Options, do func(context.Context) error) error {
	one, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	err := do(one)
	if err != nil && one.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("no answer within %s (--cluster-timeout): %w", o.Timeout, err)
	}
	return err
}

// mayPatch asks the API server whether we may patch Services in a namespace.
func mayPatch(ctx context.Context, m *clusters.Member, namespace string) error {
	review := &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authv1.ResourceAttributes{
		Namespace: namespace, Verb: "patch", Resource: "services",
	}}}
	got, err := m.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if !got.Status.Allowed {
		return &clusters.Error{Class: clusters.ClassForbidden, Err: fmt.Errorf(`no permission: a Role in namespace %s needs {apiGroups: [""], resources: [services], verbs: [get, patch]}`, namespace)}
	}
	return nil
}

// explainDryRun names the way out where an admission webhook cannot dry-run.
func explainDryRun(err error) error {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrDeleted) || errors.Is(err, ErrRemade) {
		return err
	}
	if apierrors.IsBadRequest(err) {
		return fmt.Errorf("server-side dry-run: %w; with --preflight=access it is left out", err)
	}
	return fmt.Errorf("server-side dry-run: %w", err)
}
