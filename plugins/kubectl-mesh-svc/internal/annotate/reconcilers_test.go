package annotate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

func wrote(manager, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: &metav1.FieldsV1{}}
	e.FieldsV1.SetRawBytes([]byte(fields))
	return e
}

const ownsGlobal = `{"f:metadata":{"f:annotations":{"f:x/global":{}}}}`

// TestReconcilers: who manages a Service by what it says itself, whether it owns the key that we write, and where the change lasts.
func TestReconcilers(t *testing.T) {
	t.Parallel()
	labels := func(kv ...string) *corev1.Service {
		s := nginx(map[string]string{"x/global": "false"})
		s.Labels = map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			s.Labels[kv[i]] = kv[i+1]
		}
		return s
	}
	annotated := func(kv ...string) *corev1.Service {
		s := labels()
		for i := 0; i < len(kv); i += 2 {
			s.Annotations[kv[i]] = kv[i+1]
		}
		return s
	}
	controlled := labels()
	controlled.OwnerReferences = []metav1.OwnerReference{{Kind: "Gateway", Name: "g", Controller: ptr.To(true)}}
	local := "kubectl mesh-svc globalize nginx -n default --local -f FILE"
	cases := map[string]struct {
		svc    *corev1.Service
		fields []metav1.ManagedFieldsEntry
		want   []v1alpha1.Reconciler
	}{
		"nobody":                        {labels("app.kubernetes.io/instance", "x"), []metav1.ManagedFieldsEntry{wrote("kubectl-edit", ownsGlobal)}, nil},
		"Argo CD by annotation":         {annotated("argocd.argoproj.io/tracking-id", "shop:/Service:default/nginx"), nil, []v1alpha1.Reconciler{{Tool: owners.ToolArgo, Source: "application shop", Fix: "change the manifest in the Git repository of application shop: " + local}}},
		"Argo CD by its label":          {labels("argocd.argoproj.io/instance", "shop"), nil, []v1alpha1.Reconciler{{Tool: owners.ToolArgo, Source: "application shop", Fix: "change the manifest in the Git repository of application shop: " + local}}},
		"Argo CD by manager, owns":      {labels("app.kubernetes.io/instance", "shop"), []metav1.ManagedFieldsEntry{wrote("argocd-controller", ownsGlobal)}, []v1alpha1.Reconciler{{Tool: owners.ToolArgo, Source: "application shop", FieldManager: "argocd-controller", Key: "x/global", Fix: "change the manifest in the Git repository of application shop: " + local}}},
		"Argo CD, owns other fields":    {labels(), []metav1.ManagedFieldsEntry{wrote("argocd-controller", `{"f:spec":{}}`)}, []v1alpha1.Reconciler{{Tool: owners.ToolArgo, FieldManager: "argocd-controller", Fix: "change the manifest in the Git repository of its source: " + local}}},
		"Flux, a Kustomization":         {labels("kustomize.toolkit.fluxcd.io/name", "apps", "kustomize.toolkit.fluxcd.io/namespace", "flux"), []metav1.ManagedFieldsEntry{wrote("kustomize-controller", ownsGlobal)}, []v1alpha1.Reconciler{{Tool: owners.ToolFlux, Source: "Kustomization flux/apps", FieldManager: "kustomize-controller", Key: "x/global", Fix: "change the manifest in the Git repository of Kustomization flux/apps: " + local}}},
		"Flux, a HelmRelease":           {labels("helm.toolkit.fluxcd.io/name", "r", "app.kubernetes.io/managed-by", "Helm"), nil, []v1alpha1.Reconciler{{Tool: owners.ToolFlux, Source: "HelmRelease r", Fix: "set the annotations in the values or the postRenderers of HelmRelease r"}}},
		"Helm":                          {annotated("meta.helm.sh/release-name", "r", "meta.helm.sh/release-namespace", "n"), []metav1.ManagedFieldsEntry{wrote("helm", ownsGlobal)}, []v1alpha1.Reconciler{{Tool: owners.ToolHelm, Source: "release n/r", FieldManager: "helm", Key: "x/global", Fix: "set the annotations in the values of release n/r, or in a post-renderer that runs: kubectl mesh-svc globalize nginx -n default --local -f -"}}},
		"an operator":                   {controlled, []metav1.ManagedFieldsEntry{wrote("gw", ownsGlobal)}, []v1alpha1.Reconciler{{Tool: owners.ToolOperator, Source: "of Gateway g", FieldManager: "gw", Key: "x/global", Fix: "set the annotations on Gateway g, which controls it"}}},
		"a manager that nobody knows":   {labels(), []metav1.ManagedFieldsEntry{wrote("my-operator", ownsGlobal)}, []v1alpha1.Reconciler{{FieldManager: "my-operator", Key: "x/global", Fix: `change it where "my-operator" takes it from`}}},
		"our own manager is nobody":     {labels(), []metav1.ManagedFieldsEntry{wrote("ci-bot", ownsGlobal)}, nil},
		"one that has the value we set": {nginx(map[string]string{"x/global": "true", "argocd.argoproj.io/tracking-id": "shop:x"}), nil, nil},
	}
	for name, c := range cases {
		c.svc.ManagedFields = c.fields
		p := &Plan{Manager: "ci-bot", Local: "kubectl mesh-svc globalize"}
		p.Items = []*Item{NewItem(&clusters.Member{Name: "us"}, c.svc, Values{"x/global": ptr.To("true")})}
		got := p.Report(nil, "none").Changes[0].Owners
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		owned, others := p.Notes()
		if len(owned)+len(others) != len(c.want) {
			t.Errorf("%s: notes %q %q", name, owned, others)
		}
		for _, line := range append(owned, others...) {
			if !strings.HasPrefix(line, "service default/nginx in us: ") {
				t.Errorf("%s: %q", name, line)
			}
		}
	}
}
