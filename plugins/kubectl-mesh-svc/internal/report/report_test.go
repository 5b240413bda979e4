package report

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

func BenchmarkList(b *testing.B) {
	for _, size := range []struct{ clusters, services int }{{3, 10000}, {255, 100}} {
		b.Run(fmt.Sprintf("%dx%d", size.clusters, size.services), func(b *testing.B) {
			st, members := meshtest.Large(size.clusters, size.services)
			for b.Loop() {
				if doc := List(st, members, false); len(doc.Services) != size.services || len(doc.Findings) != 0 {
					b.Fatalf("%d services, %d findings", len(doc.Services), len(doc.Findings))
				}
			}
		})
	}
}

func TestDescribeSaysWhatALossDoes(t *testing.T) {
	t.Parallel()
	st, members := meshtest.State(t, "us=nginx", "eu=nginx")
	doc := Describe(st, members, routing.Key{Namespace: "default", Name: "nginx"})
	documents.CheckValue(t, doc)
	if len(doc.Predictions) != 2 || len(doc.Failures) != 0 || !doc.Complete {
		t.Errorf("%d predictions, %d failures, complete %v", len(doc.Predictions), len(doc.Failures), doc.Complete)
	}
	if c := doc.Predictions[0].Outcomes[0].Shares[1].Code; c != "not-global-here" {
		t.Errorf("code %s", c)
	}
}

// TestSharesBesideAnUnreadCluster: its own part is unknown, and those of the others are bounds. Where it cannot answer they are not.
func TestSharesBesideAnUnreadCluster(t *testing.T) {
	t.Parallel()
	st, members := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu"}, meshtest.Cluster{Name: "ap", Service: meshtest.Annotate(cilium.AnnotationShared, "false")})
	st.Clusters[1] = routing.Cluster{Name: "eu", Gap: "refused"}
	share := func(cluster string, share float64, n int, code string) v1alpha1.Share {
		return v1alpha1.Share{Cluster: cluster, Share: ptr.To(share), Backends: ptr.To(n), Used: ptr.To(n > 0), Code: code}
	}
	bounds := func(s v1alpha1.Share, high float64) v1alpha1.Share {
		s.Low, s.High = ptr.To(0.0), ptr.To(high)
		return s
	}
	p := Describe(st, members, meshtest.Nginx).Predictions[0]
	want := []v1alpha1.Share{bounds(share("us", 1, 1, "local"), 1), bounds(v1alpha1.Share{Cluster: "eu", Code: "not-read"}, 1), bounds(share("ap", 0, 0, "not-shared"), 0)}
	quiet := cmpopts.IgnoreFields(v1alpha1.Share{}, "Reason")
	if d := cmp.Diff(want, p.Outcomes[0].Shares, quiet); d != "" || p.Complete {
		t.Errorf("complete is %v, %s", p.Complete, d)
	}
	st.Clusters[0].Services[meshtest.Nginx].Annotations = nil
	p = Describe(st, members, meshtest.Nginx).Predictions[0]
	want = []v1alpha1.Share{share("us", 1, 1, "local"), share("eu", 0, 0, "not-global-here"), share("ap", 0, 0, "not-global-here")}
	if d := cmp.Diff(want, p.Outcomes[0].Shares, quiet); d != "" || !p.Complete {
		t.Errorf("not global: complete is %v, %s", p.Complete, d)
	}
}

func TestListAndDescribeSayWhatIsDrained(t *testing.T) {
	t.Parallel()
	st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: meshtest.DrainedBy("us", "false")}, meshtest.Cluster{Name: "eu"}, meshtest.Cluster{Name: "ap", Service: meshtest.DrainedBy("us", "false")})
	want := []bool{true, false, false} // the mark in ap is that of a drain of us
	for what, in := range map[string][]v1alpha1.ServiceCluster{
		"list": List(st, members, false).Services[0].Clusters, "describe": Describe(st, members, meshtest.Nginx).Clusters,
	} {
		var got []bool
		for _, c := range in {
			got = append(got, c.Drained)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
}

func TestListLeavesOutWhatIsGlobalNowhere(t *testing.T) {
	t.Parallel()
	st, members := meshtest.State(t, "us=nginx,web", "eu=nginx")
	st.Clusters[0].Services[routing.Key{Namespace: "default", Name: "web"}].Annotations = map[string]string{cilium.AnnotationGlobal: "true"}
	if got := checked(t, List(st, members, false)).Services; len(got) != 1 || got[0].Name != "web" || got[0].Clusters[1].Present {
		t.Errorf("%+v", got)
	}
	if got := List(st, members, true).Services; len(got) != 2 {
		t.Errorf("%+v", got)
	}
}

// TestField05Proxied: list and describe show that the L7 proxy answers, and predict nothing.
func TestField05Proxied(t *testing.T) {
	t.Parallel()
	st, members := meshtest.Build(meshtest.Gateway("us"), meshtest.Gateway("eu"))
	d := Describe(st, members, meshtest.Nginx)
	if len(d.Failures) > 0 || len(d.Predictions) != 2 {
		t.Errorf("describe: %+v", d)
	}
	for _, p := range d.Predictions {
		if p.Kind != "proxy" || len(p.Outcomes) > 0 {
			t.Errorf("describe: %+v", p)
		}
	}
	services := List(st, members, false).Services
	if len(services) != 1 {
		t.Fatalf("list: %+v", services)
	}
	for _, c := range services[0].Clusters {
		if !c.Proxied || *c.ReadyEndpoints != 0 || *c.Endpoints != 0 {
			t.Errorf("list: %+v", c)
		}
	}
}

// TestField16SkippedPeer: the document of a cluster lists the entries that Cilium skips.
func TestField16SkippedPeer(t *testing.T) {
	t.Parallel()
	_, members := meshtest.Build(meshtest.Ordinary("us"), meshtest.Ordinary("eu"))
	eu := members[1]
	eu.Peers, eu.SkippedPeers = cilium.PeersFromSecret(map[string][]byte{"us": []byte(`{"endpoints": ["https://us:2379"]}`)}, "eu", eu.Version)
	if c := Clusters(members).Clusters[1]; len(c.SkippedPeers) != 1 || c.SkippedPeers[0].Entry != "us" {
		t.Errorf("%+v", c)
	}
}

// checked returns a document after a look at its schema.
func checked[T any](t *testing.T, doc T) T {
	t.Helper()
	documents.CheckValue(t, doc)
	return doc
}

// TestUnreadPeer: a peer that was not read may have any part of the shares, and none where the affinity keeps it out. If the local endpoints are lost, it may answer there, too.
func TestUnreadPeer(t *testing.T) {
	t.Parallel()
	local := func(s *corev1.Service) { s.Annotations[cilium.AnnotationAffinity] = "local" }
	for _, affinity := range []func(*corev1.Service){nil, local} {
		st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: affinity}, meshtest.Cluster{Name: "ap", Service: affinity})
		for i := range st.Clusters {
			st.Clusters[i].Peers = append(st.Clusters[i].Peers, "eu")
		}
		doc := Describe(st, members, meshtest.Nginx)
		documents.CheckValue(t, doc)
		for _, p := range doc.Predictions {
			s := p.Outcomes[0].Shares[0]
			if bounded := s.Low != nil && *s.Low == 0 && *s.High == *s.Share; bounded != (affinity == nil) || p.Complete != (affinity != nil) {
				t.Errorf("affinity local %t, %s: complete %t, %+v", affinity != nil, p.Client, p.Complete, s)
			}
		}
		for _, f := range doc.Failures {
			for _, p := range f.Predictions {
				if s := p.Outcomes[0].Shares[0]; (s.Low == nil || p.Complete) && (affinity == nil || p.Client == f.LostCluster) {
					t.Errorf("affinity local %t, %s lost, %s: complete %t, %+v", affinity != nil, f.LostCluster, p.Client, p.Complete, s)
				}
			}
		}
	}
}
