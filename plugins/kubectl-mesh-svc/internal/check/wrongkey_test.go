package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

// annotations replaces those of a Service: "key=value".
func annotations(kv ...string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations = meshtest.Annotations(nil, kv...) }
}

// lines renders findings as "ID severity object: message => fix".
func lines(fs []v1alpha1.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.ID+" "+f.Severity+" "+f.Object+": "+f.Message+" => "+f.Fix)
	}
	return out
}

// TestField16MisspeltKey: a Service that nobody made global because its key is misspelt has a finding, with the command that writes the
// right key and removes the wrong one.
func TestField16MisspeltKey(t *testing.T) {
	t.Parallel()
	const swapped = "service.io.cilium/global"
	label := func(s *corev1.Service) {
		s.Annotations, s.Labels = nil, map[string]string{cilium.AnnotationGlobal: "true"}
	}
	for name, c := range map[string]struct {
		us, eu func(*corev1.Service)
		want   []string
	}{
		"everywhere": {annotations(swapped + "=true"), annotations(swapped + "=true"), []string{
			`SVC047 warning service/default/nginx: us, eu: Cilium does not read annotation service.io.cilium/global; it reads service.cilium.io/global => ` +
				`kubectl --context kind-us -n default annotate service nginx service.cilium.io/global=true service.io.cilium/global- && kubectl --context kind-eu -n default annotate service nginx service.cilium.io/global=true service.io.cilium/global-`}},
		"in one": {nil, annotations(swapped + "=true"), []string{
			`SVC001 error service/default/nginx: global in us, but not in eu: clients in eu use only their own endpoints, and no other cluster uses those; Cilium does not read service.io.cilium/global in eu => kubectl mesh-svc globalize nginx -n default --in eu --contexts kind-us,kind-eu`,
			`SVC047 warning service/default/nginx: eu: Cilium does not read annotation service.io.cilium/global; it reads service.cilium.io/global => kubectl --context kind-eu -n default annotate service nginx service.cilium.io/global=true service.io.cilium/global-`}},
		"a label": {label, label, []string{
			`SVC047 warning service/default/nginx: us, eu: Cilium does not read label service.cilium.io/global; it reads the annotation => ` +
				`kubectl --context kind-us -n default annotate service nginx service.cilium.io/global=true && kubectl --context kind-us -n default label service nginx service.cilium.io/global- && ` +
				`kubectl --context kind-eu -n default annotate service nginx service.cilium.io/global=true && kubectl --context kind-eu -n default label service nginx service.cilium.io/global-`}},
		"left over beside the right one": {annotations(cilium.AnnotationGlobal+"=true", swapped+"=true"), annotations(cilium.AnnotationGlobal + "=true"), []string{
			`SVC047 info service/default/nginx: us: Cilium does not read annotation service.io.cilium/global; service.cilium.io/global is also set and decides => kubectl --context kind-us -n default annotate service nginx service.io.cilium/global-`}},
		"the right one says something else": {annotations(cilium.AnnotationGlobal+"=true", "service.cilium.io/share=false"), annotations(cilium.AnnotationGlobal + "=true"), []string{
			`SVC047 warning service/default/nginx: us: Cilium does not read annotation service.cilium.io/share; it reads service.cilium.io/shared => kubectl --context kind-us -n default annotate service nginx service.cilium.io/shared=false service.cilium.io/share-`}},
		"a value that is not understood either": {annotations(swapped + "=yes"), annotations(), []string{
			`SVC047 warning service/default/nginx: us: Cilium does not read annotation service.io.cilium/global; it reads service.cilium.io/global, and its value "yes" is not valid => kubectl --context kind-us -n default annotate service nginx service.io.cilium/global-`}},
		"affinity none": {annotations(cilium.AnnotationGlobal+"=true", "service.io.cilium/affinity=none"), annotations(cilium.AnnotationGlobal + "=true"), []string{
			`SVC047 warning service/default/nginx: us: Cilium does not read annotation service.io.cilium/affinity; it reads service.cilium.io/affinity => kubectl --context kind-us -n default annotate service nginx service.io.cilium/affinity-`}},
		"the Namespace's key": {annotations("clustermesh.cilium.io/global=true"), annotations(), []string{
			`SVC047 warning service/default/nginx: us: Cilium does not read annotation clustermesh.cilium.io/global on a Service; it reads service.cilium.io/global => kubectl --context kind-us -n default annotate service nginx service.cilium.io/global=true clustermesh.cilium.io/global-`}},
		"a weight": {annotations("service.cilium.io/weight=3"), annotations(), []string{
			`SVC047 warning service/default/nginx: us: Cilium does not read annotation service.cilium.io/weight on a Service; it reads it on an EndpointSlice => kubectl --context kind-us -n default annotate service nginx service.cilium.io/weight-`}},
		"somebody else's": {annotations("example.com/global=true"), annotations("example.com/global=true"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: c.us}, meshtest.Cluster{Name: "eu", Service: c.eu})
			if d := cmp.Diff(c.want, lines(Services(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestField16KeyOnSlice: an EndpointSlice has its weight and nothing else; what the chart copies there from the Service does no harm.
func TestField16KeyOnSlice(t *testing.T) {
	t.Parallel()
	slice := func(kv ...string) func(*discoveryv1.EndpointSlice) {
		return func(s *discoveryv1.EndpointSlice) {
			s.Name, s.Annotations = "nginx-a", meshtest.Annotations(nil, kv...)
		}
	}
	st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: annotations(), Slice: slice(cilium.AnnotationGlobal + "=true")}, meshtest.Cluster{Name: "eu", Service: annotations(), Slice: slice("service.cilium.io/wieght=3")})
	want := []string{
		`SVC047 warning service/default/nginx: eu: EndpointSlice nginx-a: Cilium does not read annotation service.cilium.io/wieght; it reads service.cilium.io/weight => kubectl --context kind-eu -n default annotate endpointslice nginx-a service.cilium.io/weight=3 service.cilium.io/wieght-`,
		`SVC047 warning service/default/nginx: us: EndpointSlice nginx-a: Cilium does not read annotation service.cilium.io/global on an EndpointSlice; it reads it on a Service => kubectl --context kind-us -n default annotate service nginx service.cilium.io/global=true && kubectl --context kind-us -n default annotate endpointslice nginx-a service.cilium.io/global-`,
	}
	if d := cmp.Diff(want, lines(Services(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
		t.Error(d)
	}
	labelled := func(s *discoveryv1.EndpointSlice) { s.Name = "nginx-a"; s.Labels[cilium.AnnotationWeight] = "3" }
	st, members = meshtest.Build(meshtest.Cluster{Name: "us", Service: annotations(), Slice: labelled}, meshtest.Cluster{Name: "eu", Service: annotations()})
	want = []string{`SVC047 warning service/default/nginx: us: EndpointSlice nginx-a: Cilium does not read label service.cilium.io/weight; it reads the annotation => kubectl --context kind-us -n default annotate endpointslice nginx-a service.cilium.io/weight=3 && kubectl --context kind-us -n default label endpointslice nginx-a service.cilium.io/weight-`}
	if d := cmp.Diff(want, lines(Services(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
		t.Error(d)
	}
	weighted := func(kv ...string) func(*discoveryv1.EndpointSlice) {
		return slice(append(kv, cilium.AnnotationWeight+"=3")...)
	}
	st, members = meshtest.Build(meshtest.Cluster{Name: "us", Service: annotations(), Slice: weighted("service.cilium.io/wieght=3")}, meshtest.Cluster{Name: "eu", Service: annotations(), Slice: weighted("service.cilium.io/wieght=5")})
	want = []string{
		`SVC047 warning service/default/nginx: eu: EndpointSlice nginx-a: Cilium does not read annotation service.cilium.io/wieght; service.cilium.io/weight is also set, has another value, and decides => kubectl --context kind-eu -n default annotate endpointslice nginx-a service.cilium.io/wieght-`,
		`SVC047 info service/default/nginx: us: EndpointSlice nginx-a: Cilium does not read annotation service.cilium.io/wieght; service.cilium.io/weight is also set and decides => kubectl --context kind-us -n default annotate endpointslice nginx-a service.cilium.io/wieght-`,
	}
	if d := cmp.Diff(want, lines(Services(st, members, []routing.Key{meshtest.Nginx}))); d != "" {
		t.Error(d)
	}
	st, members = meshtest.Build(meshtest.Cluster{Name: "us", Slice: slice(cilium.AnnotationGlobal + "=true")}, meshtest.Cluster{Name: "eu"})
	if got := Services(st, members, []routing.Key{meshtest.Nginx}); len(got) > 0 {
		t.Error(lines(got))
	}
}

// TestField16WrongNamespaceKey: Namespaces have one annotation of Cilium's, and none of those of Services. If that one is set, it decides: no fix changes it.
func TestField16WrongNamespaceKey(t *testing.T) {
	t.Parallel()
	const misspelt = "clustermesh.io.cilium/global"
	for name, c := range map[string]struct{ annotations, labels, want []string }{
		"alone": {[]string{misspelt + "=false", cilium.AnnotationGlobal + "=true"}, []string{cilium.AnnotationNamespaceGlobal + "=true"}, []string{
			`SVC047 warning namespace/default: us: Cilium does not read annotation clustermesh.io.cilium/global; it reads clustermesh.cilium.io/global => kubectl --context kind-us annotate namespace default clustermesh.cilium.io/global=false clustermesh.io.cilium/global-`,
			`SVC047 warning namespace/default: us: Cilium does not read annotation service.cilium.io/global on a Namespace; it reads it on a Service => kubectl --context kind-us annotate namespace default service.cilium.io/global-`,
			`SVC047 warning namespace/default: us: Cilium does not read label clustermesh.cilium.io/global; it reads the annotation => kubectl --context kind-us annotate namespace default clustermesh.cilium.io/global=true && kubectl --context kind-us label namespace default clustermesh.cilium.io/global-`,
		}},
		"the right one says something else": {[]string{misspelt + "=true", cilium.AnnotationNamespaceGlobal + "=false"}, []string{cilium.AnnotationNamespaceGlobal + "=true"}, []string{
			`SVC047 warning namespace/default: us: Cilium does not read annotation clustermesh.io.cilium/global; clustermesh.cilium.io/global is also set, has another value, and decides => kubectl --context kind-us annotate namespace default clustermesh.io.cilium/global-`,
			`SVC047 warning namespace/default: us: Cilium does not read label clustermesh.cilium.io/global; the annotation is also set, has another value, and decides => kubectl --context kind-us label namespace default clustermesh.cilium.io/global-`,
		}},
		"the right one says the same": {[]string{misspelt + "=true", cilium.AnnotationNamespaceGlobal + "=true"}, []string{cilium.AnnotationNamespaceGlobal + "=True"}, []string{
			`SVC047 info namespace/default: us: Cilium does not read annotation clustermesh.io.cilium/global; clustermesh.cilium.io/global is also set and decides => kubectl --context kind-us annotate namespace default clustermesh.io.cilium/global-`,
			`SVC047 info namespace/default: us: Cilium does not read label clustermesh.cilium.io/global; the annotation is also set and decides => kubectl --context kind-us label namespace default clustermesh.cilium.io/global-`,
		}},
	} {
		st, _ := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu"})
		st.Clusters[0].WrongKeys = map[string][]cilium.WrongKey{"default": cilium.WrongNamespaceKeys(meshtest.Annotations(nil, c.annotations...), meshtest.Annotations(nil, c.labels...))}
		if d := cmp.Diff(c.want, lines(Namespaces(st, nil))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestField16SettingsThatCancel: what each cluster may mean by itself is one finding where all clusters together undo it.
func TestField16SettingsThatCancel(t *testing.T) {
	t.Parallel()
	g := cilium.AnnotationGlobal + "=true"
	unshared, remote := cilium.AnnotationShared+"=false", cilium.AnnotationAffinity+"=remote"
	for name, c := range map[string]struct {
		us, eu func(*corev1.Service)
		want   []string
	}{
		"shared nowhere": {annotations(g, unshared), annotations(g, unshared), []string{
			`SVC048 warning service/default/nginx: us, eu: global, but no cluster shares its endpoints; clients of each cluster use only their own => kubectl mesh-svc share nginx -n default --in us,eu --contexts kind-us,kind-eu`}},
		"remote everywhere": {annotations(g, remote), annotations(g, remote), []string{
			`SVC048 warning service/default/nginx: us, eu: affinity is remote in every cluster; clients of each cluster use the other clusters, and no cluster serves its own clients => kubectl mesh-svc affinity none nginx -n default --in us,eu --contexts kind-us,kind-eu`}},
		"both": {annotations(g, unshared, remote), annotations(g, unshared, remote), []string{
			`SVC048 warning service/default/nginx: us, eu: global, but no cluster shares its endpoints; clients of each cluster use only their own; affinity remote has no effect => kubectl mesh-svc share nginx -n default --in us,eu --contexts kind-us,kind-eu`}},
		"one is drained": {with(annotations(g), meshtest.DrainedBy("us", "false")), annotations(g, unshared), []string{
			`SVC048 warning service/default/nginx: us, eu: global, but no cluster shares its endpoints; clients of each cluster use only their own => kubectl mesh-svc share nginx -n default --in eu --contexts kind-us,kind-eu`,
			`SVC045 info service/default/nginx: us: drained: other clusters do not use the endpoints there until undrain => kubectl mesh-svc undrain us --contexts kind-us,kind-eu`}},
		"a peer was not read": {annotations(g, unshared), annotations(g, unshared), []string{
			`SVC004 info service/default/nginx: us, eu: other clusters do not use the endpoints there => kubectl mesh-svc share nginx -n default --in us,eu --contexts kind-us,kind-eu`}},
		"shared in one":             {annotations(g, unshared), annotations(g), []string{`SVC004 info service/default/nginx: us: other clusters do not use the endpoints there => kubectl mesh-svc share nginx -n default --in us --contexts kind-us,kind-eu`}},
		"remote in one":             {annotations(g, remote), annotations(g), nil},
		"remote, and one shares":    {annotations(g, remote, unshared), annotations(g, remote), []string{`SVC004 info service/default/nginx: us: other clusters do not use the endpoints there => kubectl mesh-svc share nginx -n default --in us --contexts kind-us,kind-eu`}},
		"values that are not known": {annotations(g, cilium.AnnotationShared+"=no"), annotations(g, cilium.AnnotationShared+"=0"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: c.us}, meshtest.Cluster{Name: "eu", Service: c.eu})
			if name == "a peer was not read" {
				st.Clusters[0].Peers = append(st.Clusters[0].Peers, "sa")
			}
			got := lines(Services(st, members, []routing.Key{meshtest.Nginx}))
			if name == "values that are not known" {
				if len(got) != 2 || !strings.HasPrefix(got[0], "SVC005") || !strings.HasPrefix(got[1], "SVC005") {
					t.Error(got)
				}
				return
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestField16SkippedPeer: an entry that Cilium skips is a finding, and the reason why a peer does not peer back.
func TestField16SkippedPeer(t *testing.T) {
	t.Parallel()
	_, members := meshtest.Build(meshtest.Cluster{Name: "us", Version: "1.20.2"}, meshtest.Cluster{Name: "eu", Version: "1.20.2"})
	eu := members[1]
	eu.CiliumNamespace = "kube-system"
	eu.Peers, eu.SkippedPeers = cilium.PeersFromSecret(map[string][]byte{"us": []byte(`{"endpoints": ["https://us:2379"]}`)}, "eu", eu.Version)
	want := []string{
		`SVC034 warning : us is configured to connect to eu, but not the other way round: Cilium in eu skips entry "us" of Secret kube-system/cilium-clustermesh, because the text endpoints: is not in it (the key is quoted) => `,
		`SVC049 warning : eu: Cilium skips entry "us" of Secret kube-system/cilium-clustermesh, because the text endpoints: is not in it (the key is quoted) => `,
	}
	fs := Clusters(members)
	if d := cmp.Diff(want, lines(fs)); d != "" {
		t.Error(d)
	}
	for _, f := range fs {
		if f.Advice == "" || strings.Contains(f.Advice, "clustermesh connect") {
			t.Errorf("%s: advice %q", f.ID, f.Advice)
		}
	}
}
