package change_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
)

// deletion deletes one object.
type deletion struct {
	change.Outcome

	target change.Target
	uid    types.UID
}

func (d *deletion) UID() types.UID { return d.uid }

func (d *deletion) Target() change.Target                 { return d.target }
func (d *deletion) Permissions() []permissions.Permission { return nil }
func (d *deletion) Deletes() bool                         { return true }
func (d *deletion) Diff(metav1.Object) *change.Difference { return nil }
func (d *deletion) Send(ctx context.Context, dryRun bool) (metav1.Object, error) {
	return &corev1.Pod{}, d.target.Delete(ctx, "uid-1", "", dryRun)
}

// TestGracefulDeletion: a pod is there until its processes have ended, and the deletion has not failed. A Secret that stays is one, and so is a pod
// that is not even being deleted.
func TestGracefulDeletion(t *testing.T) {
	t.Parallel()
	now := metav1.Now()
	for name, c := range map[string]struct {
		kind change.Kind
		meta metav1.ObjectMeta
		want string
	}{
		"a pod that ends":          {change.Pod, metav1.ObjectMeta{Name: "x", Namespace: "shop", DeletionTimestamp: &now}, v1alpha1.ResultChanged},
		"a pod that stays":         {change.Pod, metav1.ObjectMeta{Name: "x", Namespace: "shop"}, v1alpha1.ResultFailed},
		"a Secret with finalizers": {change.Secret, metav1.ObjectMeta{Name: "x", Namespace: "shop", DeletionTimestamp: &now}, v1alpha1.ResultFailed},
	} {
		m, api := graceful(c.meta)
		d := &deletion{target: change.Target{Member: m, Kind: c.kind, Namespace: "shop", Name: "x"}}
		d.Result = v1alpha1.ResultPlanned
		p := &change.Plan{Action: "delete", Phases: []*change.Phase{{Steps: []change.Step{d}}}}
		err := p.Apply(t.Context(), change.Options{})
		if d.Result != c.want || (err == nil) != (c.want == v1alpha1.ResultChanged) {
			t.Errorf("%s: %s, %v", name, d.Result, err)
		}
		if o := *api; o.Preconditions == nil || *o.Preconditions.UID != "uid-1" || o.Preconditions.ResourceVersion != nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

// TestDeletedAndReplaced: what controls an object may create the next one of its name before the read-back. The deleted one is gone.
func TestDeletedAndReplaced(t *testing.T) {
	t.Parallel()
	for uid, want := range map[types.UID]string{"uid-1": v1alpha1.ResultChanged, "uid-2": v1alpha1.ResultFailed} {
		for _, kind := range []change.Kind{change.Secret, change.EvictedPod} {
			m, _ := graceful(metav1.ObjectMeta{Name: "x", Namespace: "shop", UID: "uid-2"})
			d := &deletion{target: change.Target{Member: m, Kind: kind, Namespace: "shop", Name: "x"}, uid: uid}
			d.Result = v1alpha1.ResultPlanned
			p := &change.Plan{Action: "delete", Phases: []*change.Phase{{Steps: []change.Step{d}}}}
			err := p.Apply(t.Context(), change.Options{})
			if d.Result != want || (err == nil) != (want == v1alpha1.ResultChanged) {
				t.Errorf("%s with uid-2 after %s was deleted: %s, %v", kind.Name, uid, d.Result, err)
			}
		}
	}
}

// graceful is a member that accepts every deletion and keeps the object, and the options of the last one.
func graceful(meta metav1.ObjectMeta) (*clusters.Member, *metav1.DeleteOptions) {
	api := fake.NewClientset(&corev1.Pod{ObjectMeta: meta}, &corev1.Secret{ObjectMeta: meta})
	last := &metav1.DeleteOptions{}
	api.PrependReactor("delete", "*", func(a k8stesting.Action) (bool, runtime.Object, error) {
		if d, ok := a.(k8stesting.DeleteActionImpl); ok {
			*last = d.GetDeleteOptions()
		}
		return true, nil, nil
	})
	return &clusters.Member{Name: "us", Client: api}, last
}
