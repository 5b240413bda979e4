package check

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

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
