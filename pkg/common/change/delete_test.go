package change_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// TestDelete: only the very object that was read is deleted, and a dry run deletes nothing.
func TestDelete(t *testing.T) {
	t.Parallel()
	api := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kept", Namespace: "kube-system"}})
	var sent []metav1.DeleteOptions
	api.PrependReactor("delete", "secrets", func(a k8stesting.Action) (bool, runtime.Object, error) {
		d, ok := a.(k8stesting.DeleteActionImpl)
		if !ok {
			t.Fatalf("%T", a)
		}
		sent = append(sent, d.GetDeleteOptions())
		return len(d.GetDeleteOptions().DryRun) > 0, nil, nil
	})
	target := change.Target{Member: &clusters.Member{Name: "us", Client: api}, Kind: change.Secret, Namespace: "kube-system", Name: "kept"}
	if err := target.Delete(t.Context(), "uid-1", "7", true); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Get(t.Context()); err != nil {
		t.Fatalf("the dry run deleted it: %v", err)
	}
	if err := target.Delete(t.Context(), "uid-1", "7", false); err != nil {
		t.Fatal(err)
	}
	if _, err := target.Get(t.Context()); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
	if err := target.Delete(t.Context(), "uid-1", "7", false); !apierrors.IsNotFound(err) {
		t.Errorf("deleting what is gone: %v", err)
	}
	for n, o := range sent {
		if p := o.Preconditions; p == nil || p.UID == nil || *p.UID != "uid-1" || p.ResourceVersion == nil || *p.ResourceVersion != "7" {
			t.Errorf("deletion %d without its preconditions: %+v", n, o)
		}
	}
	if len(sent) != 3 || len(sent[0].DryRun) != 1 || len(sent[1].DryRun) != 0 {
		t.Errorf("%+v", sent)
	}
}
