package meshstate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// TestField16KeysOfWhatIsReadAnyway: Namespaces and EndpointSlices are read for other reasons; their keys come along.
func TestField16KeysOfWhatIsReadAnyway(t *testing.T) {
	t.Parallel()
	odd := slice("web")
	odd.Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: map[string]string{cilium.AnnotationNamespaceGlobal: "true"}}}
	for _, q := range []Query{{Namespace: "default"}, {}, {Namespace: "default", Name: "web"}} {
		st := Read(t.Context(), []*clusters.Member{{Name: "us", Client: fake.NewClientset(service("web", "a"), service("other", "b"), odd, slice("other"), ns)}}, time.Minute, q)
		c := st.Clusters[0]
		if got := c.WrongKeys["default"]; len(got) != 1 || !got[0].Label || c.NamespacesHidden {
			t.Errorf("%+v: namespace %+v", q, got)
		}
		if got := c.Services[routing.Key{Namespace: "default", Name: "web"}].WrongSliceKeys["web-1"]; len(got) != 1 || got[0].Key != cilium.AnnotationGlobal {
			t.Errorf("%+v: slice %+v", q, got)
		}
		if other := c.Services[routing.Key{Namespace: "default", Name: "other"}]; other != nil && other.WrongSliceKeys != nil {
			t.Errorf("%+v: %+v", q, other.WrongSliceKeys)
		}
	}
}

// TestField16KeysInAWatch: a watch holds what a read has of EndpointSlices and Namespaces, while it is there.
func TestField16KeysInAWatch(t *testing.T) {
	t.Parallel()
	key := routing.Key{Namespace: "shop", Name: "web"}
	odd := webSlice("web-1", "10.1.0.1")
	odd.Annotations = map[string]string{"service.cilium.io/wieght": "3"}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kustomize-controller", FieldsV1: &metav1.FieldsV1{}}}}}
	ns.ManagedFields[0].FieldsV1.SetRawBytes([]byte(`{"f:metadata":{"f:annotations":{"f:clustermesh.cilium.io/global":{}}}}`))
	us := newServer(webService(), odd, webSlice("web-2", "10.1.0.2"), ns)
	members := []*clusters.Member{us.member("us")}
	want := Read(t.Context(), members, 10*time.Second, Query{Namespace: "shop"}).Clusters[0]
	if len(want.Services[key].WrongSliceKeys) != 1 || want.NamespaceOwners["shop"] == nil {
		t.Fatalf("read: %+v, %+v", want.Services[key].WrongSliceKeys, want.NamespaceOwners)
	}
	w := Watch(t.Context(), members, 10*time.Second, Query{Namespace: "shop"}, same)
	state := func() routing.Cluster { return w.State([]routing.Key{key}).Clusters[0] }
	next(t, w, "the first state", func(Update) bool { return true })
	got := state()
	if d := cmp.Diff(want.Services[key].WrongSliceKeys, got.Services[key].WrongSliceKeys); d != "" {
		t.Error(d)
	}
	if got.NamespaceOwners["shop"] == nil {
		t.Error("the controller of the namespace is not known")
	}
	odd.Annotations = nil
	if _, err := us.DiscoveryV1().EndpointSlices("shop").Update(t.Context(), odd, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	next(t, w, "the slice without the key", func(Update) bool { return len(state().Services[key].WrongSliceKeys) == 0 })
}
