package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// Options say how a plan is checked and applied.
type Options struct {
	Timeout        time.Duration // for one member's preflight and for one write
	AccessOnly     bool          // preflight asks for permission only, no server-side dry-run
	ForceConflicts bool
	AllowPartial   bool // go on without members that fail preflight
}

// Preflight checks every pending item in every member at once: owners, permission,
// then a server-side dry-run with admission. Items that fail are marked; the error says that nothing was written.
func (p *Plan) Preflight(ctx context.Context, o Options) error {
	byMember := map[*clusters.Member][]*Item{}
	var members []*clusters.Member
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
	}
	// The deadline is for each request: a plan may hold hundreds of Services of one member.
	results := clusters.Each(ctx, members, o.Timeout*time.Duration(2*len(p.Items)+1), func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		return struct{}{}, p.preflightMember(ctx, m, byMember[m], o)
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
		return ctx.Err()
	}
	if p.Failed() && (!o.AllowPartial || len(p.Pending()) == 0) {
		return errors.New("preflight failed; nothing was written in any cluster")
	}
	return nil
}

func (p *Plan) preflightMember(ctx context.Context, m *clusters.Member, items []*Item, o Options) error {
	allowed := map[string]error{}
	for _, i := range items {
		err, asked := allowed[i.Namespace]
		if !asked {
			err = within(ctx, o, func(ctx context.Context) error { return mayPatch(ctx, m, i.Namespace) })
			allowed[i.Namespace] = err
		}
		if err != nil {
			i.Result, i.Message = v1alpha1.ResultFailed, err.Error()
			continue
		}
		if o.AccessOnly {
			continue
		}
		if err := within(ctx, o, func(ctx context.Context) error { return p.patch(ctx, i, true) }); err != nil {
			i.Result, i.Message = v1alpha1.ResultFailed, explainDryRun(err).Error()
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
		return fmt.Errorf(`no permission: a Role in namespace %s needs {apiGroups: [""], resources: [services], verbs: [get, patch]}`, namespace)
	}
	return nil
}

// explainDryRun names the way out where an admission webhook cannot dry-run.
func explainDryRun(err error) error {
	if apierrors.IsBadRequest(err) {
		return fmt.Errorf("server-side dry-run: %w; with --preflight=access it is left out", err)
	}
	return fmt.Errorf("server-side dry-run: %w", err)
}

// ErrConflict says that the object is not what the plan was made for.
var ErrConflict = errors.New("changed since the plan was made; nothing was written to it, run the command again")

// errReadBack says that what was written is not what is there.
var errReadBack = errors.New("an admission webhook or a reconciler changed it")

// errNotSent says that a write was given up before it was sent again.
var errNotSent = errors.New("nothing was written")

// refused reports whether it is certain that an error's write did not happen: the server said so, or the connection was never made.
func refused(err error) bool {
	if errors.Is(err, ErrConflict) || errors.Is(err, errReadBack) || errors.Is(err, errNotSent) {
		return true
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code := status.Status().Code
		return code >= 400 && code < 500 && !apierrors.IsTimeout(err)
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// attempts is how often a write is tried when only unrelated fields changed meanwhile.
const attempts = 3

// Apply writes the pending items one after the other, cluster after cluster, and reads each back.
// It stops at the first failure; what is left stays planned. On an interrupt the write under way is unknown.
func (p *Plan) Apply(ctx context.Context, o Options) (err error) {
	defer func() {
		if err == nil {
			return
		}
		p.stopped = true
		for _, i := range p.Pending() {
			i.Message = "not written: the command ended before it"
		}
	}()
	for _, i := range p.Pending() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		one, cancel := context.WithTimeout(ctx, o.Timeout)
		err := p.write(one, i)
		cancel()
		switch {
		case err == nil:
			i.Result = v1alpha1.ResultChanged
		case !refused(err):
			i.Result, i.Message = v1alpha1.ResultUnknown, "no answer to the write: it may or may not have happened"
			return fmt.Errorf("cluster %q: %s %s/%s: %w", i.Member.Name, p.Action, i.Namespace, i.Name, err)
		default:
			i.Result, i.Message = v1alpha1.ResultFailed, err.Error()
			return fmt.Errorf("cluster %q: %s %s/%s: %w", i.Member.Name, p.Action, i.Namespace, i.Name, err)
		}
	}
	return nil
}

// write patches one item and reads it back. A conflict is tried again only if our own keys are still as planned.
func (p *Plan) write(ctx context.Context, i *Item) error {
	api := i.Member.Client.CoreV1().Services(i.Namespace)
	for n := 1; ; n++ {
		err := p.patch(ctx, i, false)
		if err == nil {
			break
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		now, getErr := api.Get(ctx, i.Name, metav1.GetOptions{})
		if getErr != nil {
			return fmt.Errorf("%w: after a conflict it could not be read again: %w", errNotSent, getErr)
		}
		for k, v := range i.Before {
			if now.UID != i.UID || !Same(current(now, k), v) {
				return ErrConflict
			}
		}
		if n == attempts {
			return err
		}
		i.Version = now.ResourceVersion
	}
	now, err := api.Get(ctx, i.Name, metav1.GetOptions{})
	if err != nil {
		i.Message = "written, but it could not be read back: " + err.Error()
		return nil //nolint:nilerr // the write was answered; the message says what is not known
	}
	for k, want := range i.After {
		if !Same(current(now, k), want) {
			return fmt.Errorf("written, but %s reads back as %s: %w", k, Show(current(now, k)), errReadBack)
		}
	}
	return nil
}

// patch sends a JSON merge patch with uid and resourceVersion as precondition; null removes a key, whoever owns it.
func (p *Plan) patch(ctx context.Context, i *Item, dryRun bool) error {
	ann := Values{}
	for _, k := range i.changedKeys() {
		ann[k] = i.After[k]
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": i.UID, "resourceVersion": i.Version, "annotations": ann,
	}})
	if err != nil {
		return err
	}
	o := metav1.PatchOptions{FieldManager: p.Manager}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	_, err = i.Member.Client.CoreV1().Services(i.Namespace).Patch(ctx, i.Name, types.MergePatchType, body, o)
	return err
}

// Show returns a value as a table shows it.
func Show(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return fmt.Sprintf("%q", *v)
}
