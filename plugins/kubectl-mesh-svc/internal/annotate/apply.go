package annotate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// ErrConflict says that the object is not what the plan was made for.
var ErrConflict = errors.New("changed since the plan was made; nothing was written to it, run the command again")

// ErrDeleted says that the object is gone since the plan was made.
var ErrDeleted = errors.New("deleted since the plan was made; nothing was written to it, run the command again")

// ErrRemade says that another object stands in its place.
var ErrRemade = errors.New("deleted and made anew since the plan was made; nothing was written to it, run the command again")

// errNotSent says that a write was given up before it was sent again.
var errNotSent = errors.New("nothing was written")

// refused reports whether it is certain that an error's write did not happen: the server said so, or the connection was never made.
func refused(err error) bool {
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrDeleted) || errors.Is(err, ErrRemade) || errors.Is(err, errNotSent) {
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

// unknown says why nobody knows whether a write happened: there was no answer, or one that does not tell, as when the server failed at it.
func unknown(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return "the server answered: " + err.Error() + "; whether it was written is not known"
	}
	return "no answer to the write: it may or may not have happened"
}

// attempts is how often a write is tried when only unrelated fields changed meanwhile.
const attempts = 3

// Apply writes the pending items one after the other, cluster after cluster, and reads a cluster's back before it begins the next.
// It stops at the first failure; what is left stays planned. On an interrupt the write under way is unknown.
func (p *Plan) Apply(ctx context.Context, o Options) (err error) {
	defer func() {
		if err == nil {
			return
		}
		p.Stop()
	}()
	pending := p.Pending()
	var written []*Item // in the cluster that is being changed
	for n, i := range pending {
		o.progress("written", n, len(pending))
		if ctx.Err() != nil {
			break
		}
		if len(written) > 0 && written[0].Member != i.Member {
			if err := p.readBack(ctx, written, o); err != nil {
				return err
			}
			written = nil
		}
		if err = within(ctx, o, func(ctx context.Context) error { _, err := p.send(ctx, i, false); return err }); err == nil {
			i.Result = v1alpha1.ResultChanged
			written = append(written, i)
			continue
		}
		if i.Result, i.Message = v1alpha1.ResultFailed, err.Error(); !refused(err) {
			i.Result, i.Message = v1alpha1.ResultUnknown, unknown(err)
		}
		err = p.failure(i, err)
		break
	}
	return cmp.Or(err, p.readBack(ctx, written, o), ctx.Err())
}

// failure names the object of an error.
func (p *Plan) failure(i *Item, err error) error {
	return fmt.Errorf("cluster %q: %s %s/%s: %w", i.Member.Name, p.Action, i.Namespace, i.Name, err)
}

// readBack reads what was written in one cluster, several objects at a time, and compares it with what was meant. What could not be read
// is an error too: a write that nobody saw is not proved.
func (p *Plan) readBack(ctx context.Context, items []*Item, o Options) error {
	failures := make([]error, len(items))
	notes := make([]string, len(items))
	for n, i := range items {
		notes[n], i.Message, i.unseen = i.Message, "written, but not read back", true
	}
	// What was written is looked at after an interrupt too; a server that no longer answers must not hold us up for each object.
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Timeout*time.Duration(1+len(items)/100))
	defer cancel()
	clusters.Parallel(whole, len(items), func(n int) {
		i := items[n]
		var now *corev1.Service
		err := within(whole, o, func(ctx context.Context) (err error) {
			now, err = i.Member.Client.CoreV1().Services(i.Namespace).Get(ctx, i.Name, metav1.GetOptions{})
			return err
		})
		if err != nil {
			i.Message = "written, but it could not be read back: " + err.Error()
			return
		}
		i.Message, i.unseen = notes[n], false
		if k, differs := i.differs(now); differs {
			err := fmt.Errorf("written, but %s reads back as %s: an admission webhook or a reconciler changed it", k, Show(current(now, k)))
			i.Result, i.Message = v1alpha1.ResultFailed, err.Error()
			failures[n] = p.failure(i, err)
		}
	})
	var unseen error
	if n := slices.IndexFunc(items, func(i *Item) bool { return i.unseen }); n >= 0 {
		unseen = p.failure(items[n], errors.New(items[n].Message))
	}
	return cmp.Or(cmp.Or(failures...), ctx.Err(), unseen)
}

// differs returns the first key, sorted, that is not as it was meant to be.
func (i *Item) differs(svc *corev1.Service) (key string, differs bool) {
	for _, k := range slices.Sorted(maps.Keys(i.After)) {
		if !Same(current(svc, k), i.After[k]) {
			return k, true
		}
	}
	return "", false
}

// Stop marks what is still to be written as not written: the command ended before it.
func (p *Plan) Stop() {
	p.stopped = true
	for _, i := range p.Pending() {
		i.Message = "not written: the command ended before it"
	}
}

// send patches one item, or tries to, and returns what the server made of it. A conflict is tried again only if our own keys are still as planned.
func (p *Plan) send(ctx context.Context, i *Item, dryRun bool) (*corev1.Service, error) {
	for n := 1; ; n++ {
		got, err := p.patch(ctx, i, dryRun)
		switch {
		case apierrors.IsNotFound(err):
			return nil, ErrDeleted
		case !apierrors.IsConflict(err):
			return got, err
		}
		now, getErr := i.Member.Client.CoreV1().Services(i.Namespace).Get(ctx, i.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(getErr):
			return nil, ErrDeleted
		case getErr != nil:
			return nil, fmt.Errorf("%w: after a conflict it could not be read again: %w", errNotSent, getErr)
		case now.UID != i.UID:
			return nil, ErrRemade
		}
		for k, v := range i.Before {
			if !Same(current(now, k), v) {
				return nil, ErrConflict
			}
		}
		if n == attempts {
			return nil, err
		}
		i.Version = now.ResourceVersion
	}
}

// patch sends a JSON merge patch with uid and resourceVersion as precondition; null removes a key, whoever owns it.
func (p *Plan) patch(ctx context.Context, i *Item, dryRun bool) (*corev1.Service, error) {
	ann := Values{}
	for _, k := range i.changedKeys() {
		ann[k] = i.After[k]
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": i.UID, "resourceVersion": i.Version, "annotations": ann,
	}})
	if err != nil {
		return nil, err
	}
	o := metav1.PatchOptions{FieldManager: p.Manager}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	return i.Member.Client.CoreV1().Services(i.Namespace).Patch(ctx, i.Name, types.MergePatchType, body, o)
}

// Show returns a value as a table shows it.
func Show(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return fmt.Sprintf("%q", *v)
}
