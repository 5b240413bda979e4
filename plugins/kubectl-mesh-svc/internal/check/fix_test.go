package check

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
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
