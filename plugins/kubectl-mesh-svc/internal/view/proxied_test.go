package view

import (
	"bytes"
	"strings"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

func printed(t *testing.T, sections []output.Section) string {
	t.Helper()
	var b bytes.Buffer
	if err := output.NewFlags().Print(&b, nil, sections); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestField05TablesSayProxy: who answers is in every table and picture of a Service that the L7 proxy answers for.
func TestField05TablesSayProxy(t *testing.T) {
	t.Parallel()
	doc := v1alpha1.Document{Members: []v1alpha1.Member{{Name: "us"}, {Name: "eu"}}}
	var cs []v1alpha1.ServiceCluster
	var ps []v1alpha1.Prediction
	for _, c := range []string{"us", "eu"} {
		cs = append(cs, v1alpha1.ServiceCluster{Cluster: c, Present: true, Type: "LoadBalancer", Global: val("true"), Shared: val("true"), Affinity: val("none"), ReadyEndpoints: ptr.To(0), Endpoints: ptr.To(0), Proxied: true})
		ps = append(ps, v1alpha1.Prediction{Client: c, Kind: "proxy", Complete: true})
	}
	described := printed(t, Describe(v1alpha1.ServiceReport{Document: doc, Namespace: "shop", Name: "gw", Clusters: cs, Predictions: ps}))
	for _, want := range []string{"L7 proxy", "us           proxy   -", "eu           -       proxy", "us: the L7 proxy of this cluster answers"} {
		if !strings.Contains(described, want) {
			t.Errorf("describe does not say %q:\n%s", want, described)
		}
	}
	for _, not := range []string{"%", "nobody answers", "0/0"} {
		if strings.Contains(described, not) {
			t.Errorf("describe says %q:\n%s", not, described)
		}
	}
	if got := printed(t, List(v1alpha1.ServiceList{Document: doc, Services: []v1alpha1.ServiceSummary{{Namespace: "shop", Name: "gw", Clusters: cs}}}, true)); !strings.Contains(got, "us:proxy eu:proxy") {
		t.Errorf("list: %s", got)
	}
	graph := v1alpha1.MeshGraph{Document: doc, Services: []v1alpha1.GraphService{{Namespace: "shop", Name: "gw"}},
		Clusters: []v1alpha1.GraphCluster{{Name: "us", Read: true, Services: 1, Proxied: 1}, {Name: "eu", Read: true, Services: 1, Proxied: 1}}}
	for name, got := range map[string]string{"mermaid": Mermaid(graph), "dot": Dot(graph), "svg": SVG(graph)} {
		if strings.Count(got, "its L7 proxy answers") != 2 {
			t.Errorf("%s: %s", name, got)
		}
	}
	graph.Services = append(graph.Services, v1alpha1.GraphService{Namespace: "shop", Name: "web"})
	graph.Clusters[0].Services = 3
	if got := Dot(graph); !strings.Contains(got, "3 services, 1 answered by its L7 proxy") {
		t.Errorf("dot: %s", got)
	}
}
