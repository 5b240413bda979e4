package pki_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// wrote is an entry of managedFields.
func wrote(manager, fields string) metav1.ManagedFieldsEntry {
	e := metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: &metav1.FieldsV1{}}
	e.FieldsV1.SetRawBytes([]byte(fields))
	return e
}

// data is an entry that owns keys of a Secret's data.
func data(manager string, keys ...string) metav1.ManagedFieldsEntry {
	for n, k := range keys {
		keys[n] = fmt.Sprintf("%q:{}", "f:"+k)
	}
	return wrote(manager, `{"f:data":{".":{},`+strings.Join(keys, ",")+`},"f:type":{}}`)
}

// rest is what is left of an entry after others have written all keys of the data.
func rest(manager string) metav1.ManagedFieldsEntry {
	return wrote(manager, `{"f:data":{".":{}},"f:type":{}}`)
}

// ca is an entry that owns the data keys of cilium-ca.
func ca(manager string) metav1.ManagedFieldsEntry { return data(manager, "ca.crt", "ca.key") }

type stored struct {
	labels, annotations map[string]string
	owners              []metav1.OwnerReference
	fields              []metav1.ManagedFieldsEntry
}

func (s stored) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "kube-system", Name: "cilium-ca", Labels: s.labels, Annotations: s.annotations, OwnerReferences: s.owners, ManagedFields: s.fields}
}

func by(entries ...metav1.ManagedFieldsEntry) stored { return stored{fields: entries} }

func TestFindOwner(t *testing.T) {
	t.Parallel()
	helm := map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	release := map[string]string{"meta.helm.sh/release-name": "cilium", "meta.helm.sh/release-namespace": "kube-system"}
	tracking := map[string]string{"argocd.argoproj.io/tracking-id": "cilium:/Secret:kube-system/cilium-ca"}
	for name, tc := range map[string]struct {
		secret     stored
		want       string
		reconciles bool
	}{
		"helm":                      {stored{labels: helm, annotations: release, fields: []metav1.ManagedFieldsEntry{ca("helm")}}, "helm/cilium", false},
		"helm, after our own write": {stored{labels: helm, annotations: release, fields: []metav1.ManagedFieldsEntry{wrote("helm", `{"f:type":{}}`), ca("mesh-ca")}}, "helm/cilium", false},
		"helm, after federate":      {stored{labels: helm, annotations: release, fields: []metav1.ManagedFieldsEntry{data("helm", "tls.key"), data("mesh-ca", "tls.crt"), data("mesh-ca-trust", "ca.crt")}}, "helm/cilium", false},
		"certgen, after federate":   {by(data("cilium-certgen", "tls.key"), data("mesh-ca", "tls.crt"), data("mesh-ca-trust", "ca.crt")), "certgen", false},
		"certgen, after rotate":     {by(rest("cilium-certgen"), data("mesh-ca", "tls.crt", "tls.key"), data("mesh-ca-trust", "ca.crt")), "certgen", false},
		"helm, once certgen's":      {stored{labels: helm, annotations: release, fields: []metav1.ManagedFieldsEntry{rest("cilium-certgen"), rest("helm"), ca("mesh-ca")}}, "helm/cilium", false},
		"by hand, once certgen's":   {by(rest("cilium-certgen"), data("kubectl-patch", "tls.crt", "tls.key"), data("mesh-ca-trust", "ca.crt")), "mesh-ca", false},
		"by us, after federate":     {by(data("mesh-ca", "tls.crt", "tls.key"), data("mesh-ca-trust", "ca.crt")), "mesh-ca", false},
		"the CA file by us":         {by(data("mesh-ca-trust", "ca.crt")), "mesh-ca", false},
		"helm of RKE2":              {stored{labels: helm, annotations: release, fields: []metav1.ManagedFieldsEntry{ca("helm_v3")}}, "helm/cilium", false},
		"certgen":                   {by(ca("cilium-certgen")), "certgen", false},
		"certgen on Helm's":         {stored{labels: helm, annotations: release, fields: []metav1.ManagedFieldsEntry{ca("cilium-certgen")}}, "certgen", false},
		"cert-manager":              {stored{annotations: map[string]string{"cert-manager.io/certificate-name": "cilium-ca"}}, "cert-manager/cilium-ca", true},
		"cert-manager by owner":     {stored{owners: []metav1.OwnerReference{{APIVersion: "cert-manager.io/v1", Kind: "Certificate", Name: "ca", Controller: ptr.To(true)}}}, "cert-manager/ca", true},
		"cert-manager by label":     {stored{labels: map[string]string{"controller.cert-manager.io/fao": "true"}}, "cert-manager", true},
		"cert-manager by manager":   {by(data("cert-manager-certificates-issuing", "ca.crt", "tls.crt", "tls.key")), "cert-manager", true},
		"argo over helm's marks":    {stored{labels: helm, annotations: tracking}, "argocd/cilium", true},
		"argo by manager":           {by(ca("argocd-controller")), "argocd", true},
		"flux kustomization":        {stored{labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "infra"}}, "flux/infra", true},
		"flux helm release":         {stored{labels: map[string]string{"helm.toolkit.fluxcd.io/name": "cilium", "app.kubernetes.io/managed-by": "Helm"}, annotations: release}, "flux/cilium", true},
		"some operator":             {stored{owners: []metav1.OwnerReference{{APIVersion: "example.org/v1", Kind: "Bundle", Name: "ca", Controller: ptr.To(true)}}}, "controller/Bundle/ca", true},
		"garbage collection only":   {stored{owners: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "x"}}, fields: []metav1.ManagedFieldsEntry{ca("kubectl-create")}}, "hand", false},
		"by hand":                   {by(ca("kubectl-create")), "hand", false},
		"by us":                     {by(wrote("kubectl-edit", `{"f:type":{}}`), ca("mesh-ca")), "mesh-ca", false},
		"by cilium-cli":             {by(ca("cilium")), "hand", false},
		"nothing to go by":          {stored{}, "unknown", false},
		"before it was tracked":     {by(ca("before-first-apply")), "unknown", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := pki.FindOwner(tc.secret.meta())
			if got.String() != tc.want || got.Reconciles() != tc.reconciles || got.Mark == "" {
				t.Errorf("got %s (reconciles %v, mark %q), want %s (%v)", got, got.Reconciles(), got.Mark, tc.want, tc.reconciles)
			}
		})
	}
}

// TestField09OwnerOfTheCAKeepsIt: who owns ca.crt or ca.key decides, whatever else is on the object.
func TestField09OwnerOfTheCAKeepsIt(t *testing.T) {
	t.Parallel()
	const eso = "externalsecrets.external-secrets.io/"
	helm := map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	tracking := map[string]string{"argocd.argoproj.io/tracking-id": "cilium:/Secret:kube-system/cilium-ca"}
	bootstrap := wrote("kubectl-create", `{"f:data":{".":{}},"f:type":{}}`)
	hash := map[string]string{"reconcile.external-secrets.io/data-hash": "5f0b"}
	vault := []metav1.OwnerReference{{APIVersion: "secrets.hashicorp.com/v1beta1", Kind: "VaultStaticSecret", Name: "mesh-ca"}}
	for name, tc := range map[string]struct {
		secret     stored
		want, kept string // kept "": it does not reconcile
	}{
		"External Secrets merges":         {stored{annotations: hash, fields: []metav1.ManagedFieldsEntry{bootstrap, ca(eso + "cilium-ca")}}, "external-secrets/cilium-ca", "managed by ExternalSecret cilium-ca, which would write its own CA again"},
		"its name is hashed":              {by(bootstrap, ca(eso+"sha3/6b86b273ff34fce1")), "external-secrets", "managed by external-secrets (field manager " + eso + "sha3/6b86b273ff34fce1), which would write its own CA again"},
		"hashed, owner reference":         {stored{owners: []metav1.OwnerReference{{APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: "ca"}}, fields: []metav1.ManagedFieldsEntry{ca(eso + "sha3/6b")}}, "external-secrets/ca", "managed by ExternalSecret ca, which"},
		"beside kubectl, same values":     {by(ca("kubectl-client-side-apply"), ca(eso+"cilium-ca")), "external-secrets/cilium-ca", "managed by ExternalSecret cilium-ca"},
		"the key alone":                   {by(data("kubectl-create", "ca.crt"), data(eso+"k", "ca.key")), "external-secrets/k", "managed by ExternalSecret k"},
		"overwritten by hand":             {stored{annotations: hash, fields: []metav1.ManagedFieldsEntry{ca("kubectl-patch"), wrote(eso+"cilium-ca", `{"f:metadata":{"f:annotations":{"f:reconcile.external-secrets.io/data-hash":{}}}}`)}}, "external-secrets/cilium-ca", "managed by ExternalSecret cilium-ca"},
		"data over Argo CD's mark":        {stored{annotations: tracking, fields: []metav1.ManagedFieldsEntry{ca(eso + "cilium-ca")}}, "external-secrets/cilium-ca", "managed by ExternalSecret cilium-ca"},
		"a tracking id copied along":      {stored{annotations: map[string]string{"argocd.argoproj.io/tracking-id": "x:external-secrets.io/ExternalSecret:kube-system/other"}, fields: []metav1.ManagedFieldsEntry{ca("kubectl-create")}}, "hand", ""},
		"Vault Secrets Operator":          {stored{owners: vault, labels: map[string]string{"app.kubernetes.io/managed-by": "hashicorp-vso"}, fields: []metav1.ManagedFieldsEntry{ca("manager")}}, "vault-secrets-operator/mesh-ca", "managed by VaultStaticSecret mesh-ca, which"},
		"Vault Secrets Operator by label": {stored{labels: map[string]string{"secrets.hashicorp.com/vso-ownerRefUID": "1"}, fields: []metav1.ManagedFieldsEntry{ca("kubectl-patch")}}, "vault-secrets-operator", "managed by vault-secrets-operator"},
		"Infisical":                       {stored{annotations: map[string]string{"secrets.infisical.com/version": "7"}, fields: []metav1.ManagedFieldsEntry{ca("manager")}}, "infisical", "managed by infisical (field manager manager)"},
		"Sealed Secrets":                  {stored{owners: []metav1.OwnerReference{{APIVersion: "bitnami.com/v1alpha1", Kind: "SealedSecret", Name: "ca", Controller: ptr.To(true)}}, fields: []metav1.ManagedFieldsEntry{ca("controller")}}, "sealed-secrets/ca", "managed by SealedSecret ca, which"},
		"Reflector":                       {stored{annotations: map[string]string{"reflector.v1.k8s.emberstack.com/reflects": "pki/mesh-ca"}, fields: []metav1.ManagedFieldsEntry{ca("unknown")}}, "reflector/pki/mesh-ca", "managed by source pki/mesh-ca, which"},
		"kapp":                            {by(ca("kapp-server-side-apply")), "kapp", "managed by kapp (field manager kapp-server-side-apply)"},
		"Fleet":                           {stored{labels: helm, fields: []metav1.ManagedFieldsEntry{ca("fleetagent")}}, "fleet", "managed by fleet"},
		"Terraform":                       {by(ca("Terraform")), "terraform", "managed by terraform"},
		"a controller that nobody knows":  {by(ca("my-tool")), "controller/my-tool", "managed by controller/my-tool (field manager my-tool), which would write its own CA again"},
		"on Helm's":                       {stored{labels: helm, fields: []metav1.ManagedFieldsEntry{wrote("helm", `{"f:type":{}}`), ca("my-tool")}}, "controller/my-tool", "managed by controller/my-tool"},
		"a script":                        {by(ca("curl")), "controller/curl", "managed by controller/curl"},
		"a name that begins with kubectl": {by(ca("kubectl-neat-operator")), "controller/kubectl-neat-operator", "managed by controller/kubectl-neat-operator"},
		"it only sets a label":            {by(ca("kubectl-create"), wrote("kyverno", `{"f:metadata":{"f:labels":{"f:team":{}}}}`)), "hand", ""},
		"stringData, applied":             {by(wrote("ci", `{"f:stringData":{"f:ca.crt":{}}}`)), "controller/ci", "managed by controller/ci"},
		"the other layout":                {by(data("sync", "tls.crt", "tls.key")), "controller/sync", "managed by controller/sync"},
		"a browser's console":             {by(ca("Mozilla")), "hand", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := pki.FindOwner(tc.secret.meta())
			if got.String() != tc.want || got.Reconciles() != (tc.kept != "") || !strings.HasPrefix(got.Kept(), tc.kept) {
				t.Errorf("got %s (reconciles %v): %s", got, got.Reconciles(), got.Kept())
			}
		})
	}
	if got := pki.FindOwner(by(ca("ci-bot")).meta(), "ci-bot"); got.Reconciles() || got.Kind != pki.OwnerMeshCA {
		t.Errorf("its own field manager: %s", got)
	}
}

// TestField09GuestsKeepNothing: who owns the certificate decides, also where another tool has put a key of its own beside it.
func TestField09GuestsKeepNothing(t *testing.T) {
	t.Parallel()
	const eso = "externalsecrets.external-secrets.io/extra"
	labels := map[string]string{"reconcile.external-secrets.io/managed": "true"}
	release := map[string]string{pki.AnnotationRelease: "cilium"}
	for name, tc := range map[string]struct {
		annotations map[string]string
		managed     []metav1.ManagedFieldsEntry
		want        string
		reconciles  bool
	}{
		"a key beside Helm's CA":     {release, []metav1.ManagedFieldsEntry{ca("helm"), data(eso, "note")}, "helm/cilium", false},
		"a key beside a person's CA": {nil, []metav1.ManagedFieldsEntry{ca("kubectl-create"), data(eso, "note")}, "hand", false},
		"a key beside certgen's CA":  {nil, []metav1.ManagedFieldsEntry{ca("cilium-certgen"), data(eso, "note")}, "certgen", false},
		"the certificate itself":     {release, []metav1.ManagedFieldsEntry{data("helm", "ca.key"), data(eso, "ca.crt")}, "external-secrets/extra", true},
		"it was overwritten":         {nil, []metav1.ManagedFieldsEntry{ca("mesh-ca"), wrote(eso, `{"f:data":{".":{}}}`)}, "external-secrets", true},
	} {
		if got := pki.FindOwner(stored{labels: labels, annotations: tc.annotations, fields: tc.managed}.meta()); !strings.HasPrefix(got.String(), tc.want) || got.Reconciles() != tc.reconciles {
			t.Errorf("%s: %+v, want %s", name, got, tc.want)
		}
	}
}
