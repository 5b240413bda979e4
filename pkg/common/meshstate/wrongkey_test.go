package meshstate

import (
	"testing"
	"time"

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
		if got := c.WrongKeys["default"]; len(got) != 1 || !got[0].Label || !c.NamespacesKnown {
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
