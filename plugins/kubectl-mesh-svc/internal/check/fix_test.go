package check

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
)

// ownedBy records a field manager's fields.
func ownedBy(manager, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: &metav1.FieldsV1{}}
	e.FieldsV1.SetRawBytes([]byte(fields))
	return e
}

func writtenBy(manager, fields string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.ManagedFields = append(s.ManagedFields, ownedBy(manager, fields)) }
}

// TestField09FixesRespectOwners: a command that a controller would undo is not printed; where the change is made is.
func TestField09FixesRespectOwners(t *testing.T) {
	t.Parallel()
	local := func(s *corev1.Service) {
		s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	}
	argo := meshtest.Annotate("argocd.argoproj.io/tracking-id", "shop:/Service:default/nginx")
	const patch = `kubectl --context kind-eu -n default patch service nginx`
	const annotate = `kubectl --context kind-eu -n default annotate service nginx`
	const last = "; on the object itself it would not last: "
	for name, c := range map[string]struct {
		id  string
		eu  meshtest.Cluster
		fix string
	}{
		"a person's field":          {"SVC016", meshtest.Cluster{Service: with(local, writtenBy("kubectl-edit", `{"f:spec":{"f:internalTrafficPolicy":{}}}`))}, patch},
		"Argo CD's field":           {"SVC016", meshtest.Cluster{Service: with(local, argo, writtenBy("argocd-controller", `{"f:spec":{"f:internalTrafficPolicy":{}}}`))}, "set internalTrafficPolicy to Cluster in the manifest in the Git repository of application shop" + last + `field manager "argocd-controller" (Argo CD application shop) would write it again`},
		"Argo CD's, other fields":   {"SVC016", meshtest.Cluster{Service: with(local, argo, writtenBy("argocd-controller", `{"f:spec":{"f:ports":{}}}`))}, patch},
		"another controller's spec": {"SVC016", meshtest.Cluster{Service: with(local, writtenBy("sync", `{"f:spec":{"f:ports":{}}}`))}, "set internalTrafficPolicy to Cluster in the source of field manager \"sync\"" + last + `field manager "sync" would write it again`},
		"a label or a class only":   {"SVC016", meshtest.Cluster{Service: with(local, writtenBy("lb", `{"f:metadata":{"f:labels":{"f:x":{}}},"f:spec":{"f:loadBalancerClass":{}}}`))}, patch},
		"an alias of Helm":          {"SVC009", meshtest.Cluster{Service: with(meshtest.Annotate(cilium.AnnotationGlobalAlias, "true"), writtenBy("helm", `{"f:metadata":{"f:annotations":{"f:io.cilium/global-service":{}}}}`))}, "remove io.cilium/global-service in the values of its release" + last + `field manager "helm" (Helm) would write it again`},
		"an alias of a person":      {"SVC009", meshtest.Cluster{Service: with(meshtest.Annotate(cilium.AnnotationGlobalAlias, "true"), writtenBy("helm", `{"f:spec":{"f:ports":{}}}`))}, annotate},
		"Cilium of Argo CD": {"SVC020", meshtest.Cluster{Service: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }},
			"set the Helm value kubeProxyReplacement=true in the manifest in the Git repository of application cilium; an upgrade with helm would not last: Argo CD application cilium would write it again"},
	} {
		us, eu := meshtest.Cluster{Name: "us"}, c.eu
		eu.Name = "eu"
		st, members := meshtest.Build(us, eu)
		if strings.HasPrefix(name, "Cilium") {
			members[1].Keeper = &owners.Keeper{Tool: owners.ToolArgo, Kind: "application", Name: "cilium"}
		}
		found := false
		for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
			if f.ID != c.id {
				continue
			}
			found = true
			if !strings.HasPrefix(f.Fix, c.fix) || strings.HasPrefix(f.Fix, "kubectl") && strings.Contains(f.Fix, "would not last") {
				t.Errorf("%s: %s", name, f.Fix)
			}
		}
		if !found {
			t.Errorf("%s: no %s", name, c.id)
		}
	}
}

// TestField09ACopyHasNothingToShare: a copy without selector that is not shared is as it is meant to be.
func TestField09ACopyHasNothingToShare(t *testing.T) {
	t.Parallel()
	unshared := meshtest.Annotate(cilium.AnnotationShared, "false")
	bare := func(s *corev1.Service) { s.Spec.Selector = nil }
	none := func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }
	for name, c := range map[string]struct {
		eu   meshtest.Cluster
		want []string
	}{
		"a copy":                      {meshtest.Cluster{Name: "eu", Service: with(unshared, bare), Slice: none}, nil},
		"no selector, with endpoints": {meshtest.Cluster{Name: "eu", Service: with(unshared, bare)}, []string{"SVC004 eu"}},
		"a selector, no endpoints":    {meshtest.Cluster{Name: "eu", Service: unshared, Slice: none}, []string{"SVC004 eu", "SVC014 eu"}},
	} {
		st, members := meshtest.Build(meshtest.Cluster{Name: "us"}, c.eu)
		var got []string
		for _, f := range summary(Services(st, members, []routing.Key{meshtest.Nginx})) {
			if strings.HasPrefix(f, "SVC004") || strings.HasPrefix(f, "SVC014") {
				got = append(got, f)
			}
		}
		if strings.Join(got, ",") != strings.Join(c.want, ",") {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestField13HelmFix: the fix names the release and the chart that are installed, and never assumes a chart.
func TestField13HelmFix(t *testing.T) {
	t.Parallel()
	installed := clusters.Release{Name: "cilium", Namespace: "cni"}
	for name, c := range map[string]struct {
		release clusters.Release
		chart   owners.Chart
		want    string
	}{
		"no release":          {clusters.Release{}, owners.Chart{}, "set the Helm value kubeProxyReplacement=true in the source of Cilium's manifests in eu: no object there names a Helm release"},
		"no chart":            {installed, owners.Chart{}, "helm --kube-context kind-eu -n cni upgrade cilium CHART --version 1.18.11 --reuse-values --set kubeProxyReplacement=true"},
		"Cilium's own":        {installed, owners.Chart{Name: "cilium", Version: "1.18.10", Official: true}, "helm --kube-context kind-eu -n cni upgrade cilium cilium --repo https://helm.cilium.io/ --version 1.18.10 --reuse-values --set kubeProxyReplacement=true"},
		"another":             {clusters.Release{Name: "net", Namespace: "cni"}, owners.Chart{Name: "cilium-enterprise"}, "helm --kube-context kind-eu -n cni upgrade net CHART --version 1.18.11 "},
		"the Helm controller": {clusters.Release{Name: "rke2-cilium"}, owners.Chart{Name: "rke2-cilium", Controller: true}, "set the Helm value kubeProxyReplacement=true in HelmChartConfig rke2-cilium in namespace kube-system of eu; an upgrade with helm would not last: "},
	} {
		st, members := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu", Service: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }})
		members[1].Release, members[1].Chart = c.release, c.chart
		found := false
		for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
			if f.ID != "SVC020" {
				continue
			}
			found = true
			if !strings.HasPrefix(f.Fix, c.want) {
				t.Errorf("%s: %s", name, f.Fix)
			}
		}
		if !found {
			t.Errorf("%s: no SVC020", name)
		}
	}
}

// TestField09NamespaceKeys: a key of a Namespace that a controller owns is not removed with kubectl.
func TestField09NamespaceKeys(t *testing.T) {
	t.Parallel()
	const key = "cilium.io/global"
	for manager, want := range map[string]string{
		"kubectl-annotate":  "kubectl --context kind-us annotate namespace default clustermesh.cilium.io/global=true cilium.io/global-",
		"argocd-controller": `set clustermesh.cilium.io/global to "true" and remove cilium.io/global in the manifest in the Git repository of its source; on the object itself it would not last: field manager "argocd-controller" (Argo CD) would write it again`,
	} {
		st, _ := meshtest.Build(meshtest.Cluster{Name: "us"}, meshtest.Cluster{Name: "eu"})
		ns := metav1.ObjectMeta{Name: "default", Annotations: map[string]string{key: "true"}, ManagedFields: []metav1.ManagedFieldsEntry{ownedBy(manager, `{"f:metadata":{"f:annotations":{"f:`+key+`":{}}}}`)}}
		st.Clusters[0].WrongKeys = map[string][]cilium.WrongKey{"default": cilium.WrongNamespaceKeys(ns.Annotations, nil)}
		st.Clusters[0].NamespaceOwners = map[string]*owners.Object{"default": owners.Of(ns)}
		fs := Namespaces(st, nil)
		if len(fs) != 1 || fs[0].Fix != want {
			t.Errorf("%s: %+v", manager, fs)
		}
	}
}

// TestField09NoCommandInASentence: a sentence about the source and a command are not joined as two commands are.
func TestField09NoCommandInASentence(t *testing.T) {
	t.Parallel()
	label := func(s *corev1.Service) { s.Labels = map[string]string{cilium.AnnotationGlobal: "true"} }
	slice := func(s *discoveryv1.EndpointSlice) {
		s.Name, s.Annotations = "nginx-a", map[string]string{cilium.AnnotationShared: "false"}
	}
	terraform := writtenBy("Terraform", `{"f:metadata":{"f:labels":{"f:`+cilium.AnnotationGlobal+`":{}}},"f:spec":{"f:ports":{}}}`)
	st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: with(label, terraform), Slice: slice}, meshtest.Cluster{Name: "eu"})
	n := 0
	for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
		if f.ID != "SVC047" {
			continue
		}
		n++
		if !strings.Contains(f.Fix, notLasting) || strings.Contains(f.Fix, " && ") {
			t.Errorf("%s: %s", f.Message, f.Fix)
		}
	}
	if n != 2 {
		t.Errorf("%d findings", n)
	}
}

// wroteAnnotation records that a field manager owns an annotation.
func wroteAnnotation(manager, key string) func(*corev1.Service) {
	return writtenBy(manager, `{"f:metadata":{"f:annotations":{"f:`+key+`":{}}}}`)
}

// TestMeshFixesRespectOwners: a mesh-svc command that would be refused because a controller owns the annotation is not printed; the change at its source is.
func TestMeshFixesRespectOwners(t *testing.T) {
	t.Parallel()
	const global, shared, affinity = cilium.AnnotationGlobal, cilium.AnnotationShared, cilium.AnnotationAffinity
	g := global + "=true"
	service := func(kv ...string) func(*corev1.Service) { return annotations(append([]string{g}, kv...)...) }
	gateway := meshtest.Gateway("us")
	for name, c := range map[string]struct {
		id, key, edit string // edit is what is to be done at the source
		us, eu        meshtest.Cluster
	}{
		"not global in one":   {"SVC001", global, "set " + global + ` to "true"`, meshtest.Cluster{}, meshtest.Cluster{Service: annotations(global + "=false")}},
		"global says yes":     {"SVC003", global, "set " + global + ` to "true"`, meshtest.Cluster{}, meshtest.Cluster{Service: annotations(global + "=yes")}},
		"its alias":           {"SVC003", cilium.AnnotationGlobalAlias, "set " + global + ` to "true" and remove ` + cilium.AnnotationGlobalAlias, meshtest.Cluster{}, meshtest.Cluster{Service: annotations(cilium.AnnotationGlobalAlias + "=yes")}},
		"not shared":          {"SVC004", shared, "remove " + shared, meshtest.Cluster{}, meshtest.Cluster{Service: service(shared + "=false")}},
		"shared says yes":     {"SVC005", shared, "remove " + shared, meshtest.Cluster{}, meshtest.Cluster{Service: service(shared + "=yes")}},
		"affinity drops":      {"SVC006", affinity, "remove " + affinity, meshtest.Cluster{}, meshtest.Cluster{Service: service(affinity + "=none")}},
		"affinity is invalid": {"SVC007", affinity, "remove " + affinity, meshtest.Cluster{}, meshtest.Cluster{Version: "1.20.2", Service: service(affinity + "=Local ")}},
		"local and remote":    {"SVC008", affinity, "remove " + affinity, meshtest.Cluster{Service: service(affinity + "=local")}, meshtest.Cluster{Service: service(affinity + "=remote")}},
		"an ExternalName":     {"SVC021", global, "remove " + global, meshtest.Cluster{Service: external}, meshtest.Cluster{Service: external}},
		"the L7 proxy":        {"SVC046", global, "remove " + global, gateway, meshtest.Cluster{Version: "1.20.2"}},
		"shared nowhere":      {"SVC048", shared, "remove " + shared, meshtest.Cluster{Service: service(shared + "=false")}, meshtest.Cluster{Service: service(shared + "=false")}},
		"remote everywhere":   {"SVC048", affinity, "remove " + affinity, meshtest.Cluster{Service: service(affinity + "=remote")}, meshtest.Cluster{Service: service(affinity + "=remote")}},
	} {
		for manager, keeps := range map[string]bool{"helm": true, "argocd-controller": true, "kubectl-edit": false, "mesh-svc": false} {
			mesh := []meshtest.Cluster{c.us, c.eu}
			for i, own := range []func(*corev1.Service){c.us.Service, c.eu.Service} {
				mesh[i].Name = []string{"us", "eu"}[i]
				if own == nil {
					own = func(*corev1.Service) {}
				}
				mesh[i].Service = with(own, wroteAnnotation(manager, c.key))
			}
			st, members := meshtest.Build(mesh...)
			found := false
			for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
				if f.ID != c.id {
					continue
				}
				found = true
				switch {
				case keeps && (!strings.HasPrefix(f.Fix, c.edit+" in ") || strings.Contains(f.Fix, "kubectl") || strings.Count(f.Fix, notLasting) != 1):
					t.Errorf("%s, %s: %s", name, manager, f.Fix)
				case !keeps && !strings.HasPrefix(f.Fix, "kubectl mesh-svc "):
					t.Errorf("%s, %s: %s", name, manager, f.Fix)
				}
			}
			if !found {
				t.Errorf("%s, %s: no %s", name, manager, c.id)
			}
		}
	}
}

// TestMeshFixPerCluster: the command remains for the clusters where it is not refused. An owner of other fields does not count: the command asks for the annotation only.
func TestMeshFixPerCluster(t *testing.T) {
	t.Parallel()
	unshared := annotations(cilium.AnnotationGlobal+"=true", cilium.AnnotationShared+"=false")
	const last = `; on the object itself it would not last: field manager `
	const helm = `remove service.cilium.io/shared in the values of its release` + last + `"helm" (Helm) would write it again`
	const argo = `remove service.cilium.io/shared in the manifest in the Git repository of its source` + last + `"argocd-controller" (Argo CD) would write it again`
	for name, c := range map[string]struct {
		us, eu func(*corev1.Service)
		want   string
	}{
		"one is kept":     {unshared, with(unshared, wroteAnnotation("helm", cilium.AnnotationShared)), "in eu: " + helm + ". kubectl mesh-svc share nginx -n default --in us --contexts kind-us,kind-eu"},
		"both, by two":    {with(unshared, wroteAnnotation("argocd-controller", cilium.AnnotationShared)), with(unshared, wroteAnnotation("helm", cilium.AnnotationShared)), "in us: " + argo + ". in eu: " + helm},
		"another key":     {unshared, with(unshared, wroteAnnotation("helm", cilium.AnnotationGlobal)), "kubectl mesh-svc share nginx -n default --in us,eu --contexts kind-us,kind-eu"},
		"the spec":        {unshared, with(unshared, writtenBy("sync", `{"f:spec":{"f:ports":{}}}`)), "kubectl mesh-svc share nginx -n default --in us,eu --contexts kind-us,kind-eu"},
		"a key, not set":  {unshared, with(unshared, wroteAnnotation("helm", cilium.AnnotationSharedAlias)), "kubectl mesh-svc share nginx -n default --in us,eu --contexts kind-us,kind-eu"},
		"all annotations": {unshared, with(unshared, writtenBy("helm", `{"f:metadata":{"f:annotations":{}}}`)), "in eu: " + helm + ". kubectl mesh-svc share nginx -n default --in us --contexts kind-us,kind-eu"},
	} {
		st, members := meshtest.Build(meshtest.Cluster{Name: "us", Service: c.us}, meshtest.Cluster{Name: "eu", Service: c.eu})
		fs := Services(st, members, []routing.Key{meshtest.Nginx})
		if len(fs) != 1 || fs[0].ID != "SVC048" || fs[0].Fix != c.want {
			t.Errorf("%s: %v", name, lines(fs))
		}
	}
}

// TestMeshFixesAreNotRefused: no mesh-svc command that a fix contains is refused in any of its clusters, whoever owns which annotation.
func TestMeshFixesAreNotRefused(t *testing.T) {
	t.Parallel()
	globalize, err := verb.Globalize("", "")
	if err != nil {
		t.Fatal(err)
	}
	none, err := verb.Affinity("none")
	if err != nil {
		t.Fatal(err)
	}
	edits := map[string]verb.Edit{"globalize": globalize, "unglobalize": verb.Unglobalize(), "share": verb.Share(), "affinity none": none}
	keys := []string{cilium.AnnotationGlobal, cilium.AnnotationGlobalAlias, cilium.AnnotationShared, cilium.AnnotationSharedAlias, cilium.AnnotationAffinity, cilium.AnnotationAffinityAlias}
	values := []string{"", "true", "false", "yes", "none", "local", "remote"}
	random := rand.New(rand.NewPCG(1, 2))
	checked := map[string]int{}
	for range 400 {
		var mesh []meshtest.Cluster
		for _, name := range []string{"us", "eu", "ap"} {
			mesh = append(mesh, meshtest.Cluster{Name: name, Service: func(s *corev1.Service) {
				if random.IntN(8) == 0 {
					external(s)
				}
				for _, key := range keys {
					if random.IntN(2) == 0 {
						meshtest.Annotate(key, values[random.IntN(len(values))])(s)
					}
					wroteAnnotation([]string{"kubectl-edit", "mesh-svc", "helm", "argocd-controller"}[random.IntN(4)], key)(s)
				}
			}})
		}
		st, members := meshtest.Build(mesh...)
		for _, f := range Services(st, members, []routing.Key{meshtest.Nginx}) {
			_, command, found := strings.Cut(f.Fix, "kubectl mesh-svc ")
			if !found {
				continue
			}
			name, rest, _ := strings.Cut(command, " nginx -n default --in ")
			edit, known := edits[name]
			if !known {
				t.Fatalf("no command of this test: %s", f.Fix)
			}
			in := strings.Split(strings.Fields(rest)[0], ",")
			plan := &annotate.Plan{Action: edit.Action, Manager: plugin.FieldManager}
			for _, m := range members {
				if slices.Contains(in, m.Name) {
					plan.Items = append(plan.Items, annotate.NewItem(m, st.Services[m.Name][meshtest.Nginx], edit.Values))
				}
			}
			plan.RefuseConflicts()
			for _, i := range plan.Items {
				if i.Result != v1alpha1.ResultPlanned {
					t.Errorf("%s %s: %s: %s: %s %s", f.ID, f.Message, f.Fix, i.Member.Name, i.Result, i.Message)
				}
			}
			checked[name] += len(plan.Items)
		}
	}
	for name := range edits {
		if checked[name] == 0 {
			t.Errorf("%s was in no fix", name)
		}
	}
}
