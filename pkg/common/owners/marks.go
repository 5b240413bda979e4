package owners

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Keeper is a tool that manages an object, according to a field that it owns or a mark on the object.
type Keeper struct {
	Tool string // "" where only the name of the field manager is known
	// Kind and Name are the object that the tool takes the content from; empty where nothing tells.
	Kind, Name string
	// Manager is the field manager that owns a field in question; "" where only a mark tells.
	Manager string
	// Mark is the label, annotation, owner reference or field manager that told.
	Mark string
}

// Source is what the tool takes the object from, such as "application shop"; "" where the object does not say.
func (k Keeper) Source() string { return strings.TrimSpace(k.Kind + " " + k.Name) }

// String names the keeper as a sentence does.
func (k Keeper) String() string { return strings.TrimSpace(k.Tool + " " + k.Source()) }

// Where says where to make a change so that it lasts: the object of "change it in".
func (k Keeper) Where() string {
	source := k.Source()
	switch {
	case k.Tool == ToolFlux && k.Kind == "HelmRelease":
		return "the values or the postRenderers of " + source
	case k.Tool == ToolArgo, k.Tool == ToolFlux:
		return "the manifest in the Git repository of " + cmp.Or(source, "its source")
	case k.Tool == ToolHelm:
		return "the values of " + cmp.Or(source, "its release")
	case k.Tool == ToolOperator && k.Name != "":
		return strings.TrimPrefix(source, "of ") + ", which controls it"
	case k.Tool == ToolKeess && k.Name != "":
		return "the Service in " + source + ", which it is copied from"
	case source != "":
		return source + ", which it comes from"
	case k.Manager == "":
		return "the source of " + k.Tool
	}
	return fmt.Sprintf("the source of field manager %q", k.Manager)
}

// Because says why a change of the object itself would not last.
func (k Keeper) Because() string {
	who := k.String()
	switch {
	case k.Manager == "":
		return who + " would write it again"
	case who == "":
		return fmt.Sprintf("field manager %q would write it again", k.Manager)
	}
	return fmt.Sprintf("field manager %q (%s) would write it again", k.Manager, who)
}

// mark is a label or annotation with which a tool marks the objects that it manages.
type mark struct {
	tool, key string
	label     bool   // else it is an annotation
	value     string // what it must be; "" for anything
	kind      string // what the source is; "" where the mark does not name one
	name      string // the label or annotation that names the source; "" for the mark itself
	namespace string // the label or annotation that names the source's namespace
	without   string // an annotation in whose presence the mark tells nothing
}

// marks, from the documentation or the source of each tool. The first one of a tool counts.
var marks = []mark{
	// Argo CD tracks by annotation (the default since 3.0) or by a label. Its older default, app.kubernetes.io/instance, is handled below.
	{tool: ToolArgo, key: argoTracking, kind: "application"},
	{tool: ToolArgo, key: "argocd.argoproj.io/instance", label: true, kind: "application"},
	{tool: ToolFlux, key: "kustomize.toolkit.fluxcd.io/name", label: true, kind: "Kustomization", namespace: "kustomize.toolkit.fluxcd.io/namespace"},
	{tool: ToolFlux, key: "helm.toolkit.fluxcd.io/name", label: true, kind: "HelmRelease", namespace: "helm.toolkit.fluxcd.io/namespace"},
	// cert-manager pkg/apis/certmanager/v1/types.go.
	{tool: ToolCertManager, key: "cert-manager.io/certificate-name", kind: "Certificate"},
	{tool: ToolCertManager, key: "controller.cert-manager.io/fao", label: true, value: "true"},
	{tool: "trust-manager", key: "trust.cert-manager.io/bundle", label: true, kind: "Bundle"},
	// external-secrets apis/externalsecrets/v1/externalsecret_types.go. With creationPolicy Merge or Orphan the hash is the only mark.
	{tool: ToolExternalSecrets, key: "reconcile.external-secrets.io/managed", label: true, value: "true"},
	{tool: ToolExternalSecrets, key: "reconcile.external-secrets.io/created-by", label: true},
	{tool: ToolExternalSecrets, key: "reconcile.external-secrets.io/data-hash"},
	// vault-secrets-operator internal/helpers/secrets.go.
	{tool: "Vault Secrets Operator", key: "secrets.hashicorp.com/vso-ownerRefUID", label: true},
	{tool: "Vault Secrets Operator", key: "app.kubernetes.io/managed-by", label: true, value: "hashicorp-vso"},
	// infisical k8-operator: SECRET_VERSION_ANNOTATION in its constants.
	{tool: "Infisical", key: "secrets.infisical.com/version"},
	// sealed-secrets pkg/apis/sealedsecrets/v1alpha1/types.go: a Secret that exists already and that the controller may write.
	{tool: "Sealed Secrets", key: "sealedsecrets.bitnami.com/managed", value: "true"},
	{tool: "Sealed Secrets", key: "sealedsecrets.bitnami.com/patch", value: "true"},
	// Tools that copy an object from elsewhere.
	{tool: "Reflector", key: "reflector.v1.k8s.emberstack.com/reflects", kind: "source"},
	{tool: "Replicator", key: "replicator.v1.mittwald.de/replicate-from", kind: "source"},
	{tool: "Kyverno", key: "generate.kyverno.io/policy-name", label: true, kind: "policy"},
	{tool: "Karmada", key: "work.karmada.io/name", kind: "Work", namespace: "work.karmada.io/namespace"},
	// keess pkg/keess/abstractions: only the copy is labelled as managed.
	{tool: ToolKeess, key: "keess.powerhrg.com/managed", label: true, value: "true", kind: "cluster", name: "keess.powerhrg.com/source-cluster"},
	// Tools that deploy.
	{tool: "kapp", key: "kapp.k14s.io/identity"},
	{tool: "k3s", key: "objectset.rio.cattle.io/owner-gvk", value: "k3s.cattle.io/v1, Kind=Addon", kind: "AddOn", name: "objectset.rio.cattle.io/owner-name"},
	{tool: "Fleet", key: "objectset.rio.cattle.io/hash", label: true, kind: "bundle", name: "objectset.rio.cattle.io/id", without: "objectset.rio.cattle.io/owner-gvk"},
	{tool: "OLM", key: "olm.owner", label: true, kind: "owner", namespace: "olm.owner.namespace"},
	{tool: ToolOperator, key: "operator-sdk/primary-resource", kind: "of"},
}

// groups are the API groups of tools whose owner references count although they name no controller.
var groups = map[string]string{
	"secrets.hashicorp.com": "Vault Secrets Operator", "external-secrets.io": ToolExternalSecrets, "bitnami.com": "Sealed Secrets",
	"secrets.infisical.com": "Infisical", "cert-manager.io": ToolCertManager, "trust.cert-manager.io": "trust-manager", "onepassword.com": "1Password",
	"secrets.doppler.com": "Doppler", "isindir.github.com": "SOPS Secrets", "work.open-cluster-management.io": "Open Cluster Management",
}

// Marks returns the tools that an object says it belongs to: by owner reference, label, annotation, or a field manager anywhere on it. Helm comes last,
// and only alone: what another tool rendered from a chart carries Helm's marks too.
func Marks(m metav1.ObjectMeta) []Keeper {
	var out []Keeper
	add := func(k Keeper) {
		at := slices.IndexFunc(out, func(have Keeper) bool { return have.Tool == k.Tool })
		switch {
		case at < 0:
			out = append(out, k)
		case out[at].Name == "": // a later mark may name what an earlier one does not
			out[at].Kind, out[at].Name = k.Kind, k.Name
		}
	}
	var operator []Keeper
	for _, ref := range m.OwnerReferences {
		group, _, _ := strings.Cut(ref.APIVersion, "/")
		switch tool := groups[group]; {
		case tool != "":
			add(Keeper{Tool: tool, Kind: ref.Kind, Name: ref.Name, Mark: "owner reference " + ref.Kind + "/" + ref.Name})
		case ref.Controller != nil && *ref.Controller:
			operator = append(operator, Keeper{Tool: ToolOperator, Kind: "of " + ref.Kind, Name: ref.Name, Mark: "owner reference " + ref.Kind + "/" + ref.Name})
		}
	}
	for _, mk := range marks {
		if k, ok := mk.find(m); ok {
			add(k)
		}
	}
	for _, manager := range Parse(m.ManagedFields).Any() {
		tool := ToolOf(manager)
		if !Reconciles(manager) || !everywhere[tool] {
			continue
		}
		k := Keeper{Tool: tool, Mark: "field manager " + manager}
		k.Kind, k.Name = sourceOf(manager)
		// Everybody's charts set this label; it counts only beside one of Argo CD's field managers.
		if app := m.Labels["app.kubernetes.io/instance"]; tool == ToolArgo && app != "" {
			k.Kind, k.Name = "application", app
		}
		add(k)
	}
	if release, ok := helm(m); ok && len(out) == 0 {
		out = append(out, release)
	}
	return append(out, operator...)
}

// everywhere are the tools for which any field that they own tells that the object is theirs. Others may only have added a label.
var everywhere = map[string]bool{ToolArgo: true, ToolFlux: true, ToolExternalSecrets: true}

func (mk mark) find(m metav1.ObjectMeta) (Keeper, bool) {
	value, ok := m.Annotations[mk.key]
	what := "annotation "
	if mk.label {
		value, ok = m.Labels[mk.key]
		what = "label "
	}
	if !ok || value == "" || mk.value != "" && value != mk.value || mk.without != "" && m.Annotations[mk.without] != "" {
		return Keeper{}, false
	}
	k := Keeper{Tool: mk.tool, Mark: what + mk.key}
	if mk.key == argoTracking {
		if value, ok = tracked(m, value); !ok {
			return Keeper{}, false
		}
	}
	if mk.kind == "" {
		return k, true
	}
	if mk.name != "" {
		value = either(m, mk.name)
	}
	switch namespace := either(m, mk.namespace); {
	case value == "":
		return k, true
	case namespace != "":
		value = namespace + "/" + value
	}
	k.Kind, k.Name = mk.kind, value
	return k, true
}

// argoTracking holds APP:GROUP/KIND:NAMESPACE/NAME.
const argoTracking = "argocd.argoproj.io/tracking-id"

// tracked returns the application of a tracking id. One that names another object was copied along by a controller, as External Secrets does from an
// ExternalSecret to its Secret; Argo CD ignores it too (util/argo/resource_tracking.go).
func tracked(m metav1.ObjectMeta, id string) (app string, ok bool) {
	parts := strings.Split(id, ":")
	if len(parts) < 2 || parts[0] == "" {
		return "", false
	}
	if _, name, named := strings.Cut(parts[len(parts)-1], "/"); len(parts) > 2 && named && m.Name != "" && name != m.Name {
		return "", false
	}
	return parts[0], true
}

func either(m metav1.ObjectMeta, key string) string {
	if v := m.Annotations[key]; v != "" {
		return v
	}
	return m.Labels[key]
}

// Helm's marks. The annotations are Helm's own; the label alone is also on charts that another tool rendered.
const (
	LabelManagedBy             = "app.kubernetes.io/managed-by"
	AnnotationRelease          = "meta.helm.sh/release-name"
	AnnotationReleaseNamespace = "meta.helm.sh/release-namespace"
)

func helm(m metav1.ObjectMeta) (Keeper, bool) {
	k := Keeper{Tool: ToolHelm}
	release := m.Annotations[AnnotationRelease]
	switch {
	case release != "":
		k.Kind, k.Name, k.Mark = "release", release, "annotation "+AnnotationRelease
		if ns := m.Annotations[AnnotationReleaseNamespace]; ns != "" {
			k.Name = ns + "/" + release
		}
		return k, true
	case m.Labels[LabelManagedBy] == ToolHelm:
		k.Mark = "label " + LabelManagedBy
		return k, true
	}
	for _, manager := range Parse(m.ManagedFields).Any() {
		if ToolOf(manager) == ToolHelm {
			k.Mark = "field manager " + manager
			return k, true
		}
	}
	return k, false
}

// wellNamed are the tools whose field managers are known by name. A manager that is not known is none of these; it may be one of the others, whose binaries
// are called "manager" or "controller".
var wellNamed = map[string]bool{ToolArgo: true, ToolFlux: true, ToolHelm: true, ToolCertManager: true, ToolExternalSecrets: true, ToolKeess: true, "kapp": true, "k3s": true, "Fleet": true}

// Named turns field managers that own something into keepers, each with the source that its name or the object's marks tell. People and the
// exempt managers are left out.
func Named(managers []string, marked []Keeper, exempt ...string) []Keeper {
	var out []Keeper
	for _, manager := range managers {
		if !Reconciles(manager) || slices.Contains(exempt, manager) {
			continue
		}
		k := Keeper{Tool: ToolOf(manager), Manager: manager, Mark: "field manager " + manager}
		for _, m := range marked {
			if m.Tool == k.Tool || k.Tool == "" && !wellNamed[m.Tool] {
				k.Tool, k.Kind, k.Name = m.Tool, m.Kind, m.Name
				if m.Name != "" {
					k.Mark = m.Mark
				}
				break
			}
		}
		if kind, name := sourceOf(manager); name != "" {
			k.Kind, k.Name, k.Mark = kind, name, "field manager "+manager
		}
		out = append(out, k)
	}
	return out
}
