package ca

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// InitPlan gives one new CA to clusters in which Cilium is not installed yet.
type InitPlan struct{ Items []*InitItem }

// InitItem is one cluster: the step that creates its cilium-ca. It holds the private key: it is never printed.
type InitItem struct {
	change.Outcome

	State *State
	After Facts

	plan    *InitPlan
	object  *corev1.Secret
	manager string
	sent    bool // the Secret may exist because of this run
	removed bool // it was created and removed again
	notes   string
}

// Init plans to create cilium-ca in every cluster, with the marks by which a Helm release adopts it.
func Init(made pki.CertKey, states []*State, release Release, manager string) *InitPlan {
	p := &InitPlan{}
	for _, s := range states {
		i := &InitItem{State: s, plan: p, manager: Options{Manager: manager}.manager(), object: &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: pki.SecretCA, Namespace: s.Namespace, Labels: helmLabels(), Annotations: helmAnnotations(release)},
			Type:       corev1.SecretTypeOpaque, Data: map[string][]byte{pki.KeyCACert: made.CertPEM(), pki.KeyCAKey: made.KeyPEM()},
		}}
		i.Result, i.After = v1alpha1.ResultPlanned, factsOf(i.object.Data)
		i.notes = fmt.Sprintf("Helm release %s in namespace %s adopts it at the installation", release.Name, release.Namespace)
		p.Items = append(p.Items, i)
	}
	return p
}

// helmLabels and helmAnnotations are the marks without which `helm install` of a chart that renders the object fails with "invalid ownership metadata"
// (Helm pkg/action/validate.go, checkOwnership; Helm 3.2 and later).
func helmLabels() map[string]string { return map[string]string{pki.LabelManagedBy: "Helm"} }

func helmAnnotations(r Release) map[string]string {
	return map[string]string{pki.AnnotationRelease: r.Name, pki.AnnotationReleaseNamespace: r.Namespace}
}

// Change returns the steps: one creation for each cluster. If not all of them succeed, those that did are removed again at the end: a CA that only some
// clusters have would make the rest of the installation go wrong, and nothing uses it yet.
func (p *InitPlan) Change() *change.Plan {
	creations, removals := &change.Phase{}, &change.Phase{Cleanup: true}
	for _, i := range p.Items {
		creations.Steps = append(creations.Steps, i)
		removals.Steps = append(removals.Steps, &removal{item: i})
	}
	return &change.Plan{Action: "init", Phases: []*change.Phase{creations, removals}}
}

// done reports whether every cluster has the CA.
func (p *InitPlan) done() bool {
	for _, i := range p.Items {
		if i.Result != v1alpha1.ResultChanged {
			return false
		}
	}
	return true
}

// Report returns the plan, or its results, as a document for scripts.
func (p *InitPlan) Report(members []*clusters.Member, dryRun string) v1alpha1.CAChangeReport {
	r := v1alpha1.CAChangeReport{ChangeReport: v1alpha1.ChangeReport{
		Document: clusters.Document("CAChangeReport", members), Action: "init", DryRun: dryRun, Changes: []v1alpha1.Change{},
	}}
	for _, i := range p.Items {
		c := v1alpha1.Change{Cluster: i.State.Member.Name, Context: i.State.Member.Context, Namespace: i.State.Namespace, Object: "secret/" + pki.SecretCA,
			Before: Facts{}.values(), After: i.After.values(), Result: i.Result, Message: i.Message}
		if c.Message == "" {
			c.Message = i.notes
		}
		r.Changes = append(r.Changes, c)
		if i.Incomplete() {
			r.Complete = false
		}
		if i.Written && !i.removed {
			r.UndoCommands = append(r.UndoCommands, i.State.kubectl("delete", "secret", pki.SecretCA))
		}
	}
	return r
}

// Target is Secret cilium-ca.
func (i *InitItem) Target() change.Target { return i.State.secret(pki.SecretCA) }

// Permissions are those to create it, and to read it back. Removing it again is not worth a permission to delete: without one, the command for it is printed.
func (i *InitItem) Permissions() []permissions.Permission {
	return append(accessReadCA().In(i.State.Namespace, pki.SecretCA), accessCreate().In(i.State.Namespace, "")...)
}

// Send creates the Secret. One that was created since planning is a conflict: it is never replaced.
func (i *InitItem) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	i.sent = i.sent || !dryRun
	got, err := i.Target().Create(ctx, i.object.DeepCopy(), i.manager, dryRun)
	switch {
	case apierrors.IsAlreadyExists(err):
		i.sent = false
		return nil, change.ErrConflict
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("namespace %s does not exist; create it, or name the one of the coming installation with --cilium-namespace: %w", i.State.Namespace, err)
	}
	return got, err
}

// Diff compares the data and the marks by which Helm adopts the object.
func (i *InitItem) Diff(stored metav1.Object) *change.Difference {
	if d := DiffData(stored, i.object.Data); d != nil {
		return d
	}
	for k, v := range i.object.Labels {
		if have, ok := stored.GetLabels()[k]; have != v {
			return &change.Difference{Field: "the label " + k, Value: have, Gone: !ok}
		}
	}
	for k, v := range i.object.Annotations {
		if have, ok := stored.GetAnnotations()[k]; have != v {
			return &change.Difference{Field: "the annotation " + k, Value: have, Gone: !ok}
		}
	}
	return nil
}

// removal removes what was created, if another cluster could not get the CA.
type removal struct {
	change.Outcome

	item *InitItem
}

// Target is Secret cilium-ca.
func (r *removal) Target() change.Target { return r.item.Target() }

// Permissions are those of the creation.
func (r *removal) Permissions() []permissions.Permission { return r.item.Permissions() }

// Serves is the creation.
func (r *removal) Serves() change.Step { return r.item }

// Diff has nothing to compare.
func (r *removal) Diff(metav1.Object) *change.Difference { return nil }

// Send removes the Secret if it holds our CA, and that of nobody else.
func (r *removal) Send(ctx context.Context, _ bool) (metav1.Object, error) {
	if !r.item.sent || r.item.plan.done() {
		return nil, nil //nolint:nilnil // there is nothing to send, see change.Step
	}
	if err := r.remove(ctx); err != nil {
		return nil, fmt.Errorf("not every cluster got the CA, and the one here could not be removed again (%w); run: %s", err, r.item.State.kubectl("delete", "secret", pki.SecretCA))
	}
	return nil, nil //nolint:nilnil // it is gone
}

func (r *removal) remove(ctx context.Context) error {
	have, err := r.Target().Get(ctx)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if err == nil {
		secret, ok := have.(*corev1.Secret)
		if !ok || !change.EqualData(secret.Data, r.item.object.Data) {
			return errors.New("it holds something else now")
		}
		if err := r.Target().Delete(ctx, secret.UID, secret.ResourceVersion, false); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	i := r.item
	i.removed = true
	if i.Result == v1alpha1.ResultChanged || i.Result == v1alpha1.ResultUnknown {
		i.Result, i.Skipped = v1alpha1.ResultPlanned, true
		i.Message = "created and removed again, because not every cluster could get the CA; it is not written"
	}
	return nil
}
