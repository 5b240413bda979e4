package meshstate

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

func serviceImport(version, name, derived string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "multicluster.x-k8s.io/" + version, "kind": "ServiceImport"}}
	u.SetNamespace("shop")
	u.SetName(name)
	if derived != "" {
		u.SetAnnotations(map[string]string{"multicluster.kubernetes.io/derived-service": derived})
	}
	return u
}

func TestField04DerivedService(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		objects []runtime.Object
		want    string
		missing bool
	}{
		"annotation":        {[]runtime.Object{serviceImport("v1alpha1", "catalog", "derived-abc"), serviceImport("v1alpha1", "other", "derived-x")}, "derived-abc", false},
		"the later version": {[]runtime.Object{serviceImport("v1beta1", "catalog", "derived-abc")}, "derived-abc", false},
		"no annotation yet": {[]runtime.Object{serviceImport("v1alpha1", "catalog", "")}, "", false},
		"no such import":    {[]runtime.Object{serviceImport("v1alpha1", "other", "derived-x")}, "", true},
		"no imports at all": {nil, "", true},
	} {
		client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
			serviceImports[0]: "ServiceImportList", serviceImports[1]: "ServiceImportList",
		}, tc.objects...)
		got, err := derivedService(t.Context(), client, time.Minute, routing.Key{Namespace: "shop", Name: "catalog"})
		if got != tc.want || (err != nil) != tc.missing || tc.missing && !apierrors.IsNotFound(err) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

func TestField04DerivedByLabel(t *testing.T) {
	t.Parallel()
	key := func(ns, name string) routing.Key { return routing.Key{Namespace: ns, Name: name} }
	label := map[string]string{"multicluster.kubernetes.io/service-name": "catalog"}
	c := &routing.Cluster{Services: map[routing.Key]*routing.Service{
		key("shop", "catalog"): {}, key("shop", "derived-2"): {Labels: label}, key("shop", "derived-1"): {Labels: label}, key("other", "derived-0"): {Labels: label},
	}}
	if got, ok := DerivedByLabel(c, key("shop", "catalog")); !ok || got != key("shop", "derived-1") {
		t.Errorf("%v %v", got, ok)
	}
	if got, ok := DerivedByLabel(c, key("shop", "cart")); ok {
		t.Errorf("%v", got)
	}
}
