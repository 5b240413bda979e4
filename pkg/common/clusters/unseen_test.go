package clusters

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestUnseen(t *testing.T) {
	t.Parallel()
	err := apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "daemonsets"}, "cilium", errors.New(`User "eve" cannot get resource "daemonsets" in API group "apps" in the namespace "kube-system"`))
	us, eu := &Member{Name: "us"}, &Member{Name: "eu"}
	// A member that is asked twice is reported once.
	us.Unseen("its version is not known", err)
	us.Unseen("its version is not known", err)
	eu.Unseen("its version is not known", err)
	eu.Unseen("its peers are not known", errors.New("x"))
	want := []string{
		"us, eu: its version is not known: a Role in namespace kube-system needs {apiGroups: [apps], resources: [daemonsets], resourceNames: [cilium], verbs: [get]}",
		"eu: its peers are not known",
	}
	if d := cmp.Diff(want, TakeUnseen([]*Member{us, eu})); d != "" {
		t.Error(d)
	}
	if again := TakeUnseen([]*Member{us, eu}); again != nil {
		t.Errorf("said twice: %q", again)
	}

	// What a copy that was asked again could not see either is not reported again.
	later := *eu
	later.Unseen("its peers are not known", errors.New("x"))
	later.Unseen("cannot determine whether KVStoreMesh is on", errors.New("x"))
	renewed := later.After(eu)
	if d := cmp.Diff([]string{"eu: cannot determine whether KVStoreMesh is on"}, TakeUnseen([]*Member{us, renewed})); d != "" {
		t.Error(d)
	}
}
