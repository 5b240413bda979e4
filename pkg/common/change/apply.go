package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// ErrConflict says that the object is not what the plan was made for.
var ErrConflict = errors.New("changed since the plan was made; nothing was written to it, run the command again")

// ErrDeleted says that the object is gone since the plan was made.
var ErrDeleted = errors.New("deleted since the plan was made; nothing was written to it, run the command again")

// ErrRemade says that another object stands in its place.
var ErrRemade = errors.New("deleted and made anew since the plan was made; nothing was written to it, run the command again")

// errReadBack says that what was written is not what is there.
var errReadBack = errors.New("an admission webhook or a reconciler changed it")

// errNotSent says that a write was given up before it was sent again.
var errNotSent = errors.New("nothing was written")

// refused reports whether it is certain that an error's write did not happen: the server said so, or the connection was never made.
func refused(err error) bool {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrDeleted) || errors.Is(err, ErrRemade) || errors.Is(err, errReadBack) || errors.Is(err, errNotSent) {
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
		p.Stop()
	}()
	pending := p.Pending()
	for n, i := range pending {
		o.progress("written", n, len(pending))
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

// Stop marks what is still to be written as not written: the command ended before it.
func (p *Plan) Stop() {
	p.stopped = true
	for _, i := range p.Pending() {
		i.Message = "not written: the command ended before it"
	}
}

// write patches one item and reads it back.
func (p *Plan) write(ctx context.Context, i *Item) error {
	if err := p.send(ctx, i, false); err != nil {
		return err
	}
	now, err := i.Member.Client.CoreV1().Services(i.Namespace).Get(ctx, i.Name, metav1.GetOptions{})
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

// send patches one item, or tries to. A conflict is tried again only if our own keys are still as planned.
func (p *Plan) send(ctx context.Context, i *Item, dryRun bool) error {
	for n := 1; ; n++ {
		err := p.patch(ctx, i, dryRun)
		switch {
		case apierrors.IsNotFound(err):
			return ErrDeleted
		case !apierrors.IsConflict(err):
			return err
		}
		now, getErr := i.Member.Client.CoreV1().Services(i.Namespace).Get(ctx, i.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(getErr):
			return ErrDeleted
		case getErr != nil:
			return fmt.Errorf("%w: after a conflict it could not be read again: %w", errNotSent, getErr)
		case now.UID != i.UID:
			return ErrRemade
		}
		for k, v := range i.Before {
			if !Same(current(now, k), v) {
				return ErrConflict
			}
		}
		if n == attempts {
			return err
		}
		i.Version = now.ResourceVersion
	}
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
