package ca

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// Change returns the steps of the plan:
//
//  1. the previous CA of every target is kept in a Secret of its own;
//  2. every target is locked (see lock.go);
//  3. then, target after target, the source is read again and cilium-ca is replaced;
//  4. at the end, whatever happened, locks that are left are removed.
func (p *Plan) Change() *change.Plan {
	backups, locks, replacements, unlocks := &change.Phase{}, &change.Phase{}, &change.Phase{}, &change.Phase{Cleanup: true}
	replacements.Before = func(ctx context.Context, s change.Step) error {
		if err := p.checkSource(ctx); err != nil {
			return fmt.Errorf("%w; the CA of %s was not replaced", err, s.Target().Member.Name)
		}
		return nil
	}
	for _, i := range p.Items {
		i.plan = p
		if i.Backup != nil {
			i.Backup.manager = p.Manager
			backups.Steps = append(backups.Steps, i.Backup)
		}
		if i.lock == nil {
			i.lock = newLock(i)
		}
		locks.Steps = append(locks.Steps, i.lock)
		replacements.Steps = append(replacements.Steps, i)
		unlocks.Steps = append(unlocks.Steps, &unlock{lock: i.lock})
	}
	return &change.Plan{Action: p.Action, Phases: []*change.Phase{backups, locks, replacements, unlocks}}
}

// Target is Secret cilium-ca, or the leaf Secret that is restored.
func (i *Item) Target() change.Target { return i.State.secret(i.name) }

// stored is the Secret as it was read.
func (i *Item) stored() *corev1.Secret { return i.State.Secrets[i.name].Object }

func (s *State) secret(name string) change.Target {
	return change.Target{Member: s.Member, Kind: change.Secret, Namespace: s.Namespace, Name: name}
}

// Permissions are those for exactly what will be done.
func (i *Item) Permissions() []permissions.Permission {
	write := accessPatchCA()
	switch {
	case !i.replaces():
		write = accessCreate()
	case isLeaf(pki.Ref{Kind: pki.Secret, Name: i.name}):
		write = AccessPatchSecrets()
	}
	return append(accessReadCA().In(i.State.Namespace, i.name), write.In(i.State.Namespace, i.name)...)
}

// replaces reports whether cilium-ca exists and is patched, rather than created.
func (i *Item) replaces() bool { return i.stored() != nil }

// Send writes cilium-ca. An existing one gets a patch of its data alone, so that the target's own labels, annotations and type stay; a new one is a
// clean object: no uid, no resourceVersion, no last-applied-configuration of the source.
func (i *Item) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	got, err := i.send(ctx, dryRun)
	return got, change.Conflict(err)
}

func (i *Item) send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	if !i.replaces() {
		obj := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: i.name, Namespace: i.State.Namespace, Labels: i.marks.Labels, Annotations: i.marks.Annotations},
			Type:       i.kind, Data: i.write,
		}
		return i.Target().Create(ctx, obj, i.plan.Manager, dryRun)
	}
	have, fields := i.stored(), change.Fields{Data: i.write}
	version := have.ResourceVersion
	if i.lock.locked != nil && !dryRun {
		version, fields.Annotations = i.lock.locked.GetResourceVersion(), map[string]*string{annotationRun: nil}
	}
	return i.Target().Patch(ctx, have.UID, version, fields, i.plan.Manager, dryRun)
}

// Diff compares the data that are written. Values are keys, and never shown.
func (i *Item) Diff(stored metav1.Object) *change.Difference { return DiffData(stored, i.write) }

// DiffData returns the first key of a Secret that is not as it was written; a nil value stands for a key that was removed. Values are keys, and never shown.
func DiffData(stored metav1.Object, want map[string][]byte) *change.Difference {
	secret, ok := stored.(*corev1.Secret)
	if !ok {
		return &change.Difference{Field: "kind"}
	}
	for _, k := range sortedKeys(want) {
		have, ok := secret.Data[k]
		switch {
		case want[k] == nil && ok, want[k] != nil && string(have) != string(want[k]):
			return &change.Difference{Field: "data." + k, Gone: !ok}
		}
	}
	return nil
}

// Backup is the step that keeps a former CA in a Secret of its own.
type Backup struct {
	change.Outcome

	Object *corev1.Secret

	of      *State
	manager string
	serves  change.Step
}

// Target is the Secret of the backup.
func (b *Backup) Target() change.Target { return b.of.secret(b.Object.Name) }

// Serves is the replacement that the backup is made for.
func (b *Backup) Serves() change.Step { return b.serves }

// Permissions are those to look for the backup and to make it.
func (b *Backup) Permissions() []permissions.Permission {
	return append(accessReadBackup().In(b.Object.Namespace, b.Object.Name), accessCreate().In(b.Object.Namespace, "")...)
}

// maxBackups bounds how many Secrets of one fingerprint are tried: they differ only where keys were repaired.
const maxBackups = 20

// Prepare looks whether the former CA is kept already, and else finds a free name.
func (b *Backup) Prepare(ctx context.Context) error {
	base := b.Object.Name
	for n := 1; n <= maxBackups; n++ {
		if n > 1 {
			b.Object.Name = fmt.Sprintf("%s-%d", base, n)
		}
		got, err := b.Target().Get(ctx)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for backup %s/%s: %w", b.Object.Namespace, b.Object.Name, err)
		}
		if have, ok := got.(*corev1.Secret); ok && have.Immutable != nil && *have.Immutable && change.EqualData(have.Data, b.Object.Data) {
			b.Object, b.Result = have, v1alpha1.ResultUnchanged
			return nil
		}
	}
	return fmt.Errorf("%d backups %s* exist already and hold something else", maxBackups, base)
}

// Send makes the backup.
func (b *Backup) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	got, err := b.Target().Create(ctx, b.Object.DeepCopy(), b.manager, dryRun)
	if apierrors.IsAlreadyExists(err) {
		return nil, change.ErrConflict
	}
	return got, err
}

// Diff compares all data of the backup.
func (b *Backup) Diff(stored metav1.Object) *change.Difference {
	if secret, ok := stored.(*corev1.Secret); ok && change.EqualData(secret.Data, b.Object.Data) {
		return nil
	}
	return &change.Difference{Field: "data"}
}

// lock is the step that marks cilium-ca as being replaced by this run.
type lock struct {
	change.Outcome

	item   *Item
	text   string
	locked metav1.Object // cilium-ca with our mark on it, as the API server returned it
	sent   bool          // our mark may be on cilium-ca
}

func newLock(i *Item) *lock {
	l := &lock{item: i}
	l.Result = v1alpha1.ResultPlanned
	return l
}

func (l *lock) Target() change.Target { return l.item.Target() }

// Serves is the replacement that the lock is taken for.
func (l *lock) Serves() change.Step { return l.item }

func (l *lock) Permissions() []permissions.Permission { return l.item.Permissions() }

// Send writes the mark. A cluster without a CA is nobody's source, and needs none.
func (l *lock) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	if dryRun || !l.item.replaces() {
		return nil, nil //nolint:nilnil // there is nothing to send, see change.Step
	}
	var err error
	if l.text, err = markText(l.item.plan, l.Target().Member.Latest(time.Now())); err != nil {
		return nil, err
	}
	l.sent = true
	have := l.item.stored()
	l.locked, err = l.Target().Patch(ctx, have.UID, have.ResourceVersion, change.Fields{Annotations: map[string]*string{annotationRun: &l.text}}, lockManager, false)
	if apierrors.IsConflict(err) {
		l.sent = false
		return nil, change.ErrConflict
	}
	return l.locked, err
}

// Diff compares the mark. Where the answer to it was lost, what is read back takes its place, if nobody has changed the CA.
func (l *lock) Diff(stored metav1.Object) *change.Difference {
	secret, ok := stored.(*corev1.Secret)
	switch {
	case !ok || secret.Annotations[annotationRun] != l.text:
		return &change.Difference{Field: "the annotation " + annotationRun}
	case l.locked == nil && !change.EqualData(secret.Data, l.item.stored().Data):
		return &change.Difference{Field: "data"}
	case l.locked == nil:
		l.locked = stored
	}
	return nil
}

// unlock removes a lock that no replacement has removed.
type unlock struct{ *lock }

// Send removes our mark, and that of nobody else.
func (u *unlock) Send(ctx context.Context, _ bool) (metav1.Object, error) {
	if !u.sent || u.item.Result == v1alpha1.ResultChanged {
		return nil, nil //nolint:nilnil // there is nothing to send, see change.Step
	}
	got, err := u.removeMark(ctx)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("the annotation %s could not be removed (%w); run: %s", annotationRun, err, u.item.State.kubectl("annotate", "secret", u.item.name, annotationRun+"-"))
	}
	return got, nil
}

func (u *unlock) removeMark(ctx context.Context) (metav1.Object, error) {
	have, err := u.Target().Get(ctx)
	if err != nil {
		return nil, err
	}
	secret, ok := have.(*corev1.Secret)
	if !ok {
		return nil, errors.New("it is not a Secret")
	}
	if m, ok := parseMark(secret); !ok || m.ID != u.item.plan.ID {
		return secret, nil
	}
	return u.Target().Patch(ctx, secret.UID, secret.ResourceVersion, change.Fields{Annotations: map[string]*string{annotationRun: nil}}, lockManager, false)
}

// Unbegun adds to the error of a phase that could not be planned that only earlier phases have written.
func Unbegun(err error) error {
	return fmt.Errorf("%w. This phase has written nothing, and what was written before is safe", err)
}
