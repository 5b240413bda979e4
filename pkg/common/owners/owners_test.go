package owners

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func wrote(manager, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: &metav1.FieldsV1{}}
	e.FieldsV1.SetRawBytes([]byte(fields))
	return e
}

// TestField09OnlyPeopleDoNotReconcile: the interactive clients by their whole names; everything else reconciles.
func TestField09OnlyPeopleDoNotReconcile(t *testing.T) {
	t.Parallel()
	for _, manager := range []string{
		"kubectl", "kubectl.exe", "kubectl-annotate", "kubectl-client-side-apply", "kubectl-create", "kubectl-edit", "kubectl-expose", "kubectl-label", "kubectl-last-applied",
		"kubectl-patch", "kubectl-replace", "kubectl-rollout", "kubectl-run", "kubectl-set", "oc", "k9s", "Lens", "OpenLens", "headlamp", "Mozilla", "GoogleCloudConsole",
		"dashboard", "cilium", "mesh-svc", "mesh-ca",
	} {
		if Reconciles(manager) || !Interactive(manager) {
			t.Errorf("%s is a person's client", manager)
		}
	}
	for _, manager := range []string{
		"argocd-controller", "kustomize-controller", "helm", "Helm", "keess", "kapp-server-side-apply", "fleetagent", "externalsecrets.external-secrets.io/x", "cilium-certgen",
		"kube-controller-manager", "cilium-operator-generic", "Terraform", "HashiCorp", "ci-deploy", "deploy@node1", "manager", "controller",
		"curl", "Wget", "python-requests", "OpenAPI-Generator", "node-fetch", "Go-http-client", "unknown", // scripts run again
		"kubectl-neat-operator", "kubectl-argo-rollouts", "kubectlx", "lens-operator", "k9s-sync", "unknown-operator", "mozilla-sync", "octopus", "mesh-svc-operator", // prefixes tell nothing
	} {
		if !Reconciles(manager) || Interactive(manager) {
			t.Errorf("%s is not an interactive client", manager)
		}
	}
	for _, manager := range []string{"", "before-first-apply"} {
		if Reconciles(manager) || Interactive(manager) {
			t.Errorf("%q tells nothing", manager)
		}
	}
}

func TestOwnersOfFields(t *testing.T) {
	t.Parallel()
	fields := Parse([]metav1.ManagedFieldsEntry{
		wrote("z", `{"f:metadata":{"f:annotations":{".":{},"f:x/y":{},"f:a.b/c":{}}},"f:data":{"f:ca.crt":{}}}`),
		wrote("a", `{"f:metadata":{"f:annotations":{"f:x/y":{}}},"f:data":{".":{}}}`),
		wrote("a", `{"f:data":{"f:ca.key":{}}}`),
		wrote("whole", `{"f:data":{}}`),
		wrote("junk", `not json`), wrote("null", `null`), wrote("list", `{"f:data":[]}`), {Manager: "none"},
	})
	for name, c := range map[string]struct {
		fields []Field
		want   []string
	}{
		"an annotation, co-owned":   {[]Field{Annotation("x/y")}, []string{"a", "z"}},
		"a key with dots":           {[]Field{Annotation("a.b/c")}, []string{"z"}},
		"a data key":                {[]Field{Data("ca.crt")}, []string{"whole", "z"}},
		"either of two":             {[]Field{Data("ca.crt"), Data("ca.key")}, []string{"a", "whole", "z"}},
		"a map as such is not keys": {[]Field{Data("other")}, []string{"whole"}},
		"not there":                 {[]Field{Label("x/y")}, nil},
	} {
		if d := cmp.Diff(c.want, fields.Of(c.fields...)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestField09OwnerOfTheSpecKeepsTheService: not who only adds an address, a class or a hash.
func TestField09OwnerOfTheSpecKeepsTheService(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields string
		keeps  bool
	}{
		"ports":                {`{"f:spec":{"f:ports":{"k:{\"port\":80}":{}}}}`, true},
		"selector":             {`{"f:spec":{"f:selector":{"f:app":{}}}}`, true},
		"type":                 {`{"f:spec":{"f:type":{}}}`, true},
		"the whole spec":       {`{"f:spec":{}}`, true},
		"an alias":             {`{"f:spec":{"f:externalName":{}}}`, true},
		"a load balancer":      {`{"f:spec":{"f:loadBalancerIP":{},"f:externalIPs":{}},"f:status":{"f:loadBalancer":{}}}`, false},
		"Argo Rollouts":        {`{"f:spec":{"f:selector":{"f:rollouts-pod-template-hash":{}}}}`, false},
		"annotations":          {`{"f:metadata":{"f:annotations":{"f:x":{}}}}`, false},
		"selector and hash":    {`{"f:spec":{"f:selector":{"f:app":{},"f:rollouts-pod-template-hash":{}}}}`, true},
		"status of the ports":  {`{"f:status":{"f:ports":{}}}`, false},
		"an entry of nonsense": {`{"f:spec":7}`, false},
	} {
		got := Parse([]metav1.ManagedFieldsEntry{wrote("m", c.fields)}).ServiceKeepers()
		if (len(got) > 0) != c.keeps {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	labels := func(kv ...string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: "nginx", Labels: pairs(kv)} }
	annotations := func(kv ...string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: "nginx", Annotations: pairs(kv)} }
	keess := metav1.ObjectMeta{Labels: pairs([]string{"keess.powerhrg.com/managed", "true"}), Annotations: pairs([]string{"keess.powerhrg.com/source-cluster", "us"})}
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		want []string
	}{
		"nothing":                  {labels("app.kubernetes.io/instance", "x", "app.kubernetes.io/managed-by", "me"), nil},
		"Keess":                    {keess, []string{"Keess cluster us"}},
		"Keess, the source":        {labels("keess.powerhrg.com/sync", "cluster"), nil},
		"Argo CD":                  {annotations("argocd.argoproj.io/tracking-id", "shop:/Service:default/nginx"), []string{"Argo CD application shop"}},
		"Argo CD, another object":  {annotations("argocd.argoproj.io/tracking-id", "shop:apps/Deployment:default/web"), nil},
		"Argo CD, no id":           {annotations("argocd.argoproj.io/tracking-id", "shop"), nil},
		"kapp":                     {annotations("kapp.k14s.io/identity", "v1;default//Service/nginx;v1"), []string{"kapp"}},
		"Fleet":                    {metav1.ObjectMeta{Labels: pairs([]string{"objectset.rio.cattle.io/hash", "1"}), Annotations: pairs([]string{"objectset.rio.cattle.io/id", "default-shop"})}, []string{"Fleet bundle default-shop"}},
		"an AddOn of k3s":          {metav1.ObjectMeta{Labels: pairs([]string{"objectset.rio.cattle.io/hash", "1"}), Annotations: pairs([]string{"objectset.rio.cattle.io/owner-gvk", "k3s.cattle.io/v1, Kind=Addon", "objectset.rio.cattle.io/owner-name", "dns"})}, []string{"k3s AddOn dns"}},
		"two tools":                {labels("kustomize.toolkit.fluxcd.io/name", "apps", "generate.kyverno.io/policy-name", "p"), []string{"Flux Kustomization apps", "Kyverno policy p"}},
		"a chart that Fleet keeps": {labels("objectset.rio.cattle.io/hash", "1", "app.kubernetes.io/managed-by", "Helm"), []string{"Fleet"}},
		"Helm and an operator": {metav1.ObjectMeta{Labels: pairs([]string{"app.kubernetes.io/managed-by", "Helm"}), OwnerReferences: []metav1.OwnerReference{{APIVersion: "x/v1", Kind: "Gateway", Name: "g", Controller: ptr.To(true)}}},
			[]string{"Helm", "operator of Gateway g"}},
	} {
		var got []string
		for _, k := range Marks(c.meta) {
			got = append(got, k.String())
			if k.Mark == "" {
				t.Errorf("%s: %s has no mark", name, k)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func pairs(kv []string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		out[kv[i]] = kv[i+1]
	}
	return out
}

func TestNamed(t *testing.T) {
	t.Parallel()
	argo := []Keeper{{Tool: ToolArgo, Kind: "application", Name: "shop"}}
	sealed := []Keeper{{Tool: "Sealed Secrets", Kind: "SealedSecret", Name: "ca"}}
	for name, c := range map[string]struct {
		manager string
		marked  []Keeper
		want    []string
	}{
		"its mark names the source":    {"argocd-controller", argo, []string{"Argo CD application shop"}},
		"another tool's mark does not": {"kustomize-controller", argo, []string{"Flux"}},
		"nor for one that is unknown":  {"ci-deploy", argo, []string{""}},
		"a binary called controller":   {"controller", sealed, []string{"Sealed Secrets SealedSecret ca"}},
		"the manager names it":         {"externalsecrets.external-secrets.io/ca", nil, []string{"External Secrets ExternalSecret ca"}},
		"a hash names nothing":         {"externalsecrets.external-secrets.io/sha3/6b", nil, []string{"External Secrets"}},
		"a person":                     {"kubectl-edit", argo, nil},
		"our own":                      {"ci-bot", argo, nil},
	} {
		var got []string
		for _, k := range Named([]string{c.manager}, c.marked, "ci-bot", "") {
			got = append(got, k.String())
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
