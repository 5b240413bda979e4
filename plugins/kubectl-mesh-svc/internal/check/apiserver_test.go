package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// TestAPIServer: a global default/kubernetes is an error in its own right, and no fix makes it global anywhere.
func TestAPIServer(t *testing.T) {
	t.Parallel()
	const about = "SVC050 error service/default/kubernetes: "
	g := cilium.AnnotationGlobal + "=true"
	us := func(annotations ...string) meshtest.Cluster { return apiServer("us", annotations) }
	eu := func(annotations ...string) meshtest.Cluster { return apiServer("eu", annotations) }
	kept := eu(g)
	kept.Service = with(kept.Service, wroteAnnotation("helm", cilium.AnnotationGlobal))
	for name, c := range map[string]struct {
		mesh []meshtest.Cluster
		want []string
	}{
		"as Kubernetes makes it": {[]meshtest.Cluster{us(), eu()}, nil},
		"global in both": {[]meshtest.Cluster{us(g), eu(g)}, []string{about +
			"global in us, eu: clients in us, eu may reach the API servers of other clusters => kubectl mesh-svc unglobalize kubernetes -n default --in us,eu --contexts kind-us,kind-eu"}},
		"shared by one": {[]meshtest.Cluster{us(g), eu(g, cilium.AnnotationShared+"=false")}, []string{about +
			"global in us, eu: clients in eu may reach the API servers of other clusters => kubectl mesh-svc unglobalize kubernetes -n default --in us,eu --contexts kind-us,kind-eu"}},
		"global in one": {[]meshtest.Cluster{us(g), eu()}, []string{about +
			"global in us: if it becomes global in another cluster too, clients may reach the API servers of other clusters => kubectl mesh-svc unglobalize kubernetes -n default --in us --contexts kind-us,kind-eu"}},
		"kept by Helm": {[]meshtest.Cluster{us(), kept}, []string{about +
			"global in eu: if it becomes global in another cluster too, clients may reach the API servers of other clusters => remove service.cilium.io/global in the values of its release; " +
			`on the object itself it would not last: field manager "helm" (Helm) would write it again`}},
		"not global, by a value": {[]meshtest.Cluster{us(cilium.AnnotationGlobal + "=yes"), eu()}, nil},
		"not global, by a key":   {[]meshtest.Cluster{us("service.io.cilium/global=true"), eu()}, nil},
	} {
		st, members := meshtest.Build(c.mesh...)
		for i := range st.Clusters {
			st.Clusters[i].Services = map[routing.Key]*routing.Service{exempt.APIServer: st.Clusters[i].Services[meshtest.Nginx]}
		}
		if d := cmp.Diff(c.want, lines(Services(st, members, []routing.Key{exempt.APIServer}))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// apiServer is a cluster whose only Service has no selector, as default/kubernetes has none.
func apiServer(name string, annotated []string) meshtest.Cluster {
	return meshtest.Cluster{Name: name, Service: with(annotations(annotated...), func(s *corev1.Service) { s.Spec.Selector = nil })}
}
