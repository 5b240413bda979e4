package change_test

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
)

// TestAnsweredByGateway: a load balancer gives up, or an API server's own deadline ends, and the API server writes a moment later. Such an answer does not mean that the
// API server is done with the write.
func TestAnsweredByGateway(t *testing.T) {
	t.Parallel()
	gateway := func(code int) error {
		return apierrors.NewGenericServerResponse(code, "post", corev1.Resource("configmaps"), "a", "<html>Bad Gateway</html>", 0, true)
	}
	for name, c := range map[string]struct {
		err  error
		late bool // the write happens after the first look at the object
		want string
	}{
		"502 of a load balancer":                 {gateway(http.StatusBadGateway), true, v1alpha1.ResultChanged},
		"503 of a load balancer":                 {gateway(http.StatusServiceUnavailable), true, v1alpha1.ResultChanged},
		"408 of a load balancer":                 {gateway(http.StatusRequestTimeout), true, v1alpha1.ResultChanged},
		"502, and it is never written":           {gateway(http.StatusBadGateway), false, v1alpha1.ResultFailed},
		"the API server's own deadline":          {apierrors.NewTimeoutError("request did not complete within requested timeout", 0), true, v1alpha1.ResultChanged},
		"an API server that is done":             {apierrors.NewServiceUnavailable("etcd"), false, v1alpha1.ResultFailed},
		"an API server that rejects the content": {apierrors.NewBadRequest("no"), false, v1alpha1.ResultFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log []string
			us := member("us", true)
			api, ok := us.Client.(*fake.Clientset)
			if !ok {
				t.Fatalf("%T", us.Client)
			}
			looks := 0
			api.PrependReactor("get", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) {
				if looks++; looks == 2 && c.late {
					return true, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "kube-system"}}, nil
				}
				return false, nil, nil
			})
			s := newStep(us, "a", &log)
			s.fails = c.err
			p := &change.Plan{Action: "test", Phases: []*change.Phase{{Steps: []change.Step{s}}}}
			err := p.Apply(t.Context(), options)
			if s.Result != c.want || (err == nil) != (c.want == v1alpha1.ResultChanged) {
				t.Errorf("%s after %d looks, want %s: %v", s.Result, looks, c.want, err)
			}
		})
	}
}
