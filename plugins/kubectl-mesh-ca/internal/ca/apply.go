package ca

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// ErrConflict says that cilium-ca is not what the plan was made for.
var ErrConflict = errors.New("it changed since the plan was made; nothing was written to it, run the command again")

// Apply carries the plan out:
//
//  1. the former CA of every target is kept, and the copy read back;
//  2. every target is marked (see lock.go);
//  3. then, target after target, the source is read again, and cilium-ca is replaced and read back.
//
// It stops at the first failure; what is left stays planned. A write that has begun is brought to its end when ctx is cancelled, so that its outcome
// is known: a CA that may or may not have been replaced is the worst of all answers.
func (p *Plan) Apply(ctx context.Context, o Options) error {
	pending := p.Pending()
	for _, i := range pending {
		if i.Backup == nil || i.Backup.Result != v1alpha1.ResultPlanned {
			continue
		}
		if err := p.step(ctx, i, o, func(ctx context.Context) error { return p.keepFormer(ctx, i) }); err != nil {
			return err
		}
	}
	defer p.unmark(ctx, o)
	for _, i := range pending {
		if err := p.step(ctx, i, o, func(ctx context.Context) error { return p.mark(ctx, i) }); err != nil {
			return err
		}
	}
	for _, i := range pending {
		if err := p.checkSource(ctx, o); err != nil {
			return p.failed(i, fmt.Errorf("%w; nothing was written to %s", err, i.State.Member.Name))
		}
		if err := p.step(ctx, i, o, func(ctx context.Context) error { return p.write(ctx, i) }); err != nil {
			return err
		}
		i.Result = v1alpha1.ResultChanged
	}
	return nil
}

// step runs one write with its own deadline, to its end.
func (p *Plan) step(ctx context.Context, i *Item, o Options, write func(context.Context) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	one, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Timeout)
	defer cancel()
	if err := write(one); err != nil {
		return p.failed(i, err)
	}
	return nil
}

// failed settles an item at which the plan stopped. After an interrupt it stays planned.
func (p *Plan) failed(i *Item, err error) error {
	err = safe(err)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if i.Result == v1alpha1.ResultPlanned {
		i.Result = v1alpha1.ResultFailed
	}
	i.Message = err.Error()
	return fmt.Errorf("cluster %q: %s: %w", i.State.Member.Name, p.Action, err)
}

// keepFormer makes the backup and reads it back.
func (p *Plan) keepFormer(ctx context.Context, i *Item) error {
	want := i.Backup.Object
	err := p.createBackup(ctx, i, false)
	have, readErr := i.State.Member.Client.CoreV1().Secrets(want.Namespace).Get(ctx, want.Name, metav1.GetOptions{})
	switch {
	case readErr == nil && maps.EqualFunc(have.Data, want.Data, bytes.Equal):
		i.Backup.Object, i.Backup.Result = have, v1alpha1.ResultChanged
		return nil
	case err != nil:
		i.Backup.Result = v1alpha1.ResultFailed
		return fmt.Errorf("backup of the former CA: %w; %s was not touched", err, pki.SecretCA)
	case readErr != nil:
		i.Backup.Result = v1alpha1.ResultUnknown
		return fmt.Errorf("read back backup %s: %w; %s was not touched", want.Name, readErr, pki.SecretCA)
	}
	i.Backup.Result = v1alpha1.ResultFailed
	return fmt.Errorf("backup %s does not read back as it was written: an admission webhook changed it; %s was not touched", want.Name, pki.SecretCA)
}

func (p *Plan) createBackup(ctx context.Context, i *Item, dryRun bool) error {
	o := metav1.CreateOptions{FieldManager: p.Manager}
	if dryRun {
		o.DryRun = []string{metav1.DryRunAll}
	}
	_, err := i.State.Member.Client.CoreV1().Secrets(i.Backup.Object.Namespace).Create(ctx, i.Backup.Object.DeepCopy(), o)
	return err
}

// write replaces cilium-ca and reads it back. When the server gave no answer, what is read back tells what happened.
func (p *Plan) write(ctx context.Context, i *Item) error {
	err := p.replace(ctx, i, false)
	if err != nil && answered(err) {
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return ErrConflict
		}
		return err
	}
	read, cancel := ctx, context.CancelFunc(func() {})
	if err != nil {
		read, cancel = context.WithTimeout(context.WithoutCancel(ctx), readBack)
	}
	defer cancel()
	have, readErr := i.State.Member.Client.CoreV1().Secrets(i.State.Namespace).Get(read, pki.SecretCA, metav1.GetOptions{})
	switch {
	case readErr != nil && err == nil:
		i.wrote, i.marked = true, false
		i.Message = "written, but it could not be read back: " + readErr.Error()
		return nil
	case readErr != nil:
		i.Result, i.wrote = v1alpha1.ResultUnknown, true
		return fmt.Errorf("no answer to the write, it may or may not have happened: %w", err)
	case i.written(have):
		i.wrote, i.marked = true, false
		return nil
	case err != nil:
		return fmt.Errorf("the write did not happen: %w", err)
	}
	i.wrote, i.marked = true, false
	return errors.New("written, but it reads back otherwise: an admission webhook or a controller changed it")
}

// readBack is how long to look for the outcome of a write that got no answer.
const readBack = 10 * time.Second

// answered reports whether an error is the API server's own answer, after which it is known that nothing was written.
func answered(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsInternalError(err)
}

func (i *Item) written(have *corev1.Secret) bool {
	for k, v := range i.write {
		got, ok := have.Data[k]
		if ok != (v != nil) || !bytes.Equal(got, v) {
			return false
		}
	}
	return true
}

// replace sends the write of cilium-ca. An existing one gets a JSON merge patch of its data alone, with uid and resourceVersion as precondition, so
// that the target's own labels, annotations and type stay; a new one is a clean object: no uid, no resourceVersion, no last-applied of the source.
func (p *Plan) replace(ctx context.Context, i *Item, dryRun bool) error {
	var dry []string
	if dryRun {
		dry = []string{metav1.DryRunAll}
	}
	api := i.State.Member.Client.CoreV1().Secrets(i.State.Namespace)
	if !i.replaces() {
		obj := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: pki.SecretCA, Namespace: i.State.Namespace, Labels: i.marks.Labels, Annotations: i.marks.Annotations},
			Type:       corev1.SecretTypeOpaque, Data: i.write,
		}
		_, err := api.Create(ctx, obj, metav1.CreateOptions{FieldManager: p.Manager, DryRun: dry})
		return err
	}
	have := i.State.CA().Object
	meta := map[string]any{"uid": have.UID, "resourceVersion": have.ResourceVersion}
	if i.lock != nil && !dryRun {
		meta["resourceVersion"], meta["annotations"] = i.lock.ResourceVersion, map[string]any{annotationRun: nil}
	}
	body, err := json.Marshal(map[string]any{
		"metadata": meta,
		"data":     i.write, // base64 by encoding/json; null removes a key
	})
	if err != nil {
		return err
	}
	_, err = api.Patch(ctx, pki.SecretCA, types.MergePatchType, body, metav1.PatchOptions{FieldManager: p.Manager, DryRun: dry})
	return err
}
