package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// TestField05CheckSaysGlobalMeansNothing: at most a note, whatever else the Service says.
func TestField05CheckSaysGlobalMeansNothing(t *testing.T) {
	t.Parallel()
	note := "the L7 proxy of the client's cluster answers for the Service (its endpoint is Cilium's placeholder); the global annotation has no effect"
	for name, c := range map[string]struct {
		mesh []meshtest.Cluster
		want []string
	}{
		"everywhere":      {[]meshtest.Cluster{meshtest.Gateway("us"), meshtest.Gateway("eu")}, []string{"SVC046 info service/default/nginx: us, eu: " + note + " => "}},
		"in one, alone":   {[]meshtest.Cluster{meshtest.Gateway("us"), {Name: "eu", Version: "1.20.2", Absent: true}}, []string{"SVC046 info service/default/nginx: us: " + note + " => "}},
		"global in one":   {[]meshtest.Cluster{meshtest.Gateway("us"), meshtest.Gateway("eu", cilium.AnnotationGlobal+"=false")}, []string{"SVC046 info service/default/nginx: us: " + note + " => "}},
		"global nowhere":  {[]meshtest.Cluster{meshtest.Gateway("us", cilium.AnnotationGlobal+"=false"), meshtest.Gateway("eu", cilium.AnnotationGlobal+"=no")}, nil},
		"other settings":  {[]meshtest.Cluster{meshtest.Gateway("us", cilium.AnnotationShared+"=false", cilium.AnnotationAffinity+"=remote"), meshtest.Gateway("eu", cilium.AnnotationShared+"=maybe")}, []string{"SVC046 info service/default/nginx: us, eu: " + note + " => "}},
		"ordinary in one": {[]meshtest.Cluster{meshtest.Gateway("us"), meshtest.Ordinary("eu")}, []string{"SVC046 warning service/default/nginx: us: " + note + "; Cilium exports the placeholder anyway, and connections of clients in eu to it fail => kubectl mesh-svc unglobalize nginx -n default --in us --contexts kind-us,kind-eu"}},
		"not exported":    {[]meshtest.Cluster{meshtest.Gateway("us", cilium.AnnotationShared+"=false"), meshtest.Ordinary("eu"), meshtest.Ordinary("ap")}, []string{"SVC046 info service/default/nginx: us: " + note + " => "}},
		"misspelt":        {[]meshtest.Cluster{meshtest.Gateway("us", "service.io.cilium/global=true"), meshtest.Gateway("eu")}, []string{"SVC046 info service/default/nginx: us, eu: " + note + " => ", "SVC047 info service/default/nginx: us: Cilium does not read annotation service.io.cilium/global => kubectl --context kind-us -n default annotate service nginx service.io.cilium/global-"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := meshtest.Build(c.mesh...)
			if d := cmp.Diff(c.want, lines(Services(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
				t.Error(d)
			}
			for _, f := range Hosts(st, members, []routing.Key{meshtest.Nginx}) {
				if f.ID == "SVC035" && !slices.ContainsFunc(c.mesh, func(c meshtest.Cluster) bool { return c.Service == nil && !c.Absent }) {
					t.Errorf("hosts: %+v", f)
				}
			}
		})
	}
}

const servesNoOwnClients = "no cluster serves its own clients"

// TestRemoteEverywhere: affinity remote in all clusters cancels itself only where clients of each cluster use the endpoints of others.
func TestRemoteEverywhere(t *testing.T) {
	t.Parallel()
	remote := annotations(cilium.AnnotationGlobal+"=true", cilium.AnnotationAffinity+"=remote")
	none := func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }
	bare := func(s *corev1.Service) { s.Spec.Selector = nil }
	full := func(name string) meshtest.Cluster { return meshtest.Cluster{Name: name, Service: remote} }
	idle := func(name string) meshtest.Cluster {
		return meshtest.Cluster{Name: name, Service: with(remote, bare), Slice: none}
	}
	for name, c := range map[string]struct {
		mesh []meshtest.Cluster
		want bool
	}{
		"endpoints in both":         {[]meshtest.Cluster{full("us"), full("eu")}, true},
		"endpoints in two of three": {[]meshtest.Cluster{full("us"), full("eu"), idle("ap")}, true},
		"no pods in one":            {[]meshtest.Cluster{full("us"), {Name: "eu", Service: remote, Slice: none}}, false},
		"a copy without a selector": {[]meshtest.Cluster{full("us"), idle("eu")}, false},
		"endpoints in one of three": {[]meshtest.Cluster{full("us"), idle("eu"), idle("ap")}, false},
		"endpoints in no cluster":   {[]meshtest.Cluster{idle("us"), idle("eu")}, false},
		"not ready in one": {[]meshtest.Cluster{full("us"), {Name: "eu", Service: remote, Slice: func(s *discoveryv1.EndpointSlice) {
			s.Endpoints[0].Conditions.Ready, s.Endpoints[0].Conditions.Serving = ptr.To(false), ptr.To(false)
		}}}, false},
		"another port name in one":    {[]meshtest.Cluster{full("us"), {Name: "eu", Service: remote, Slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("web") }}}, false},
		"the namespace is not global": {[]meshtest.Cluster{full("us"), {Name: "eu", Version: "1.20.2", Service: remote, Routing: gated}}, false},
		"headless":                    {[]meshtest.Cluster{{Name: "us", Service: with(remote, headless), Routing: synced}, {Name: "eu", Service: with(remote, headless), Routing: synced}}, false},
		"not peers":                   {[]meshtest.Cluster{{Name: "us", Service: remote, Routing: func(c *routing.Cluster) { c.Peers = nil }}, full("eu")}, false},
	} {
		st, members := meshtest.Build(c.mesh...)
		got := slices.ContainsFunc(Services(st, members, []routing.Key{meshtest.Nginx}), func(f v1alpha1.Finding) bool { return strings.Contains(f.Message, servesNoOwnClients) })
		if got != c.want {
			t.Errorf("%s: the finding is reported: %t, want %t", name, got, c.want)
		}
	}
}

// TestRemoteEverywhereAgreesWithPrediction: where the finding says that no cluster serves its own clients, the prediction gives each cluster no share of them.
func TestRemoteEverywhereAgreesWithPrediction(t *testing.T) {
	t.Parallel()
	remote := []string{cilium.AnnotationGlobal + "=true", cilium.AnnotationAffinity + "=remote"}
	none := func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }
	kinds := []meshtest.Cluster{
		{Service: annotations(remote...)},
		{Service: annotations(remote...), Slice: none},
		{Service: with(annotations(remote...), func(s *corev1.Service) { s.Spec.Selector = nil }), Slice: none},
		{Service: annotations(append(remote, cilium.AnnotationShared+"=false")...)},
		{Service: annotations(remote...), Slice: func(s *discoveryv1.EndpointSlice) { s.Ports[0].Name = ptr.To("web") }},
		{Service: annotations(remote...), Version: "1.20.2", Routing: gated},
		{Service: annotations(remote...), Routing: func(c *routing.Cluster) { c.Peers = c.Peers[:1] }},
		{Service: annotations(cilium.AnnotationGlobal + "=true")},
	}
	reported := 0
	for _, us := range kinds {
		for _, eu := range kinds {
			for _, ap := range kinds {
				us.Name, eu.Name, ap.Name = "us", "eu", "ap"
				st, members := meshtest.Build(us, eu, ap)
				for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
					if !strings.Contains(f.Message, servesNoOwnClients) {
						continue
					}
					reported++
					for _, cluster := range f.Clusters {
						for _, fe := range st.Find(cluster).Services[meshtest.Nginx].Frontends() {
							for _, o := range routing.Decide(&st.Snapshot, cluster, meshtest.Nginx, fe).Outcomes {
								for _, share := range o.Shares {
									if share.Total == 0 || share.Cluster == cluster && share.Backends > 0 {
										t.Errorf("%s: %s: %+v", f.Message, cluster, o.Shares)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	if reported == 0 {
		t.Error("reported in no case")
	}
}
