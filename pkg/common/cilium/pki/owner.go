package pki

import (
	"cmp"
	"slices"
	"strings"
)

// Metadata is what owner detection needs of an object.
type Metadata struct {
	Labels, Annotations map[string]string
	Owners              []OwnerRef
	// Managers are the field managers of managedFields, in any order.
	Managers []string
}

// OwnerRef is one owner reference.
type OwnerRef struct {
	APIVersion, Kind, Name string
	Controller             bool
}

// OwnerKind says what wrote an object and would write it again.
type OwnerKind string

// The owners that are told apart.
const (
	OwnerHelm        OwnerKind = "helm"
	OwnerCertgen     OwnerKind = "certgen"
	OwnerCertManager OwnerKind = "cert-manager"
	OwnerArgoCD      OwnerKind = "argocd"
	OwnerFlux        OwnerKind = "flux"
	OwnerController  OwnerKind = "controller" // some other controller, named by the owner reference or a label
	OwnerMeshCA      OwnerKind = "mesh-ca"
	OwnerHand        OwnerKind = "hand" // kubectl or another person's tool
	OwnerUnknown     OwnerKind = "unknown"
)

// FieldManager is the field manager under which mesh-ca writes.
const FieldManager = "mesh-ca"

// Owner says who keeps an object, and from which mark that is known.
type Owner struct {
	Kind OwnerKind
	// Name is the Helm release, the Certificate, the Argo CD application and so on, where the mark names one.
	Name string
	// Mark is the label, annotation, owner reference or field manager that told.
	Mark string
}

// Reconciles reports whether the owner will put its own content back by itself. Helm does not: it writes at the next upgrade only, and looks the
// live CA up first unless tls.ca.* is set in the values.
func (o Owner) Reconciles() bool {
	switch o.Kind {
	case OwnerCertManager, OwnerArgoCD, OwnerFlux, OwnerController:
		return true
	default:
		return false
	}
}

// String is the owner as tables show it.
func (o Owner) String() string {
	if o.Name == "" {
		return string(o.Kind)
	}
	return string(o.Kind) + "/" + o.Name
}

// Marks of the tools, from their own documentation: Helm 3 and 4; cert-manager v1; Argo CD 2 and 3; Flux 2; External Secrets.
const (
	LabelManagedBy             = "app.kubernetes.io/managed-by"
	AnnotationRelease          = "meta.helm.sh/release-name"
	AnnotationReleaseNamespace = "meta.helm.sh/release-namespace"
	annotationCertName         = "cert-manager.io/certificate-name"
	labelCertManager           = "controller.cert-manager.io/fao"
	annotationArgo             = "argocd.argoproj.io/tracking-id"
	labelArgo                  = "argocd.argoproj.io/instance"
	labelFluxKustomize         = "kustomize.toolkit.fluxcd.io/name"
	labelFluxHelm              = "helm.toolkit.fluxcd.io/name"
	labelExternalSecrets       = "reconcile.external-secrets.io/managed"
	managerCertgen             = "cilium-certgen"
)

// FindOwner tells who keeps an object. Marks of tools that reconcile come first: an object that Argo CD or Flux renders from Cilium's chart may
// carry Helm's marks as well. certgen leaves no mark but its field manager: it writes fresh objects without labels or annotations.
func FindOwner(m Metadata) Owner {
	if o, ok := reconcilerOf(m); ok {
		return o
	}
	if release, ok := m.Annotations[AnnotationRelease]; ok || m.Labels[LabelManagedBy] == "Helm" {
		return Owner{Kind: OwnerHelm, Name: release, Mark: "label " + LabelManagedBy + ", annotation " + AnnotationRelease}
	}
	managers := slices.Clone(m.Managers)
	slices.Sort(managers)
	rank := func(name string) (OwnerKind, int) {
		switch {
		case name == managerCertgen:
			return OwnerCertgen, 0
		case name == "helm":
			return OwnerHelm, 1
		case name == FieldManager:
			return OwnerMeshCA, 2
		case strings.HasPrefix(name, "kubectl"), name == "k9s", name == "cilium", name == "Mozilla":
			return OwnerHand, 3
		default:
			return OwnerUnknown, 4
		}
	}
	if len(managers) == 0 {
		return Owner{Kind: OwnerUnknown, Mark: "no marks and no managed fields"}
	}
	best := slices.MinFunc(managers, func(a, b string) int {
		_, ra := rank(a)
		_, rb := rank(b)
		return cmp.Compare(ra, rb)
	})
	kind, _ := rank(best)
	return Owner{Kind: kind, Mark: "field manager " + clean(best)}
}

// reconcilerOf finds the owner that would put its own content back.
func reconcilerOf(m Metadata) (Owner, bool) {
	if name, ok := m.Annotations[annotationCertName]; ok {
		return Owner{Kind: OwnerCertManager, Name: name, Mark: "annotation " + annotationCertName}, true
	}
	for _, ref := range m.Owners {
		switch {
		case ref.Kind == "Certificate" && strings.HasPrefix(ref.APIVersion, "cert-manager.io/"):
			return Owner{Kind: OwnerCertManager, Name: ref.Name, Mark: "owner reference Certificate/" + ref.Name}, true
		case ref.Controller:
			return Owner{Kind: OwnerController, Name: ref.Kind + "/" + ref.Name, Mark: "owner reference " + ref.Kind + "/" + ref.Name}, true
		}
	}
	if m.Labels[labelCertManager] == "true" {
		return Owner{Kind: OwnerCertManager, Mark: "label " + labelCertManager}, true
	}
	if id, ok := m.Annotations[annotationArgo]; ok {
		app, _, _ := strings.Cut(id, ":")
		return Owner{Kind: OwnerArgoCD, Name: app, Mark: "annotation " + annotationArgo}, true
	}
	for _, mark := range []struct {
		label string
		kind  OwnerKind
	}{{labelArgo, OwnerArgoCD}, {labelFluxKustomize, OwnerFlux}, {labelFluxHelm, OwnerFlux}} {
		if name, ok := m.Labels[mark.label]; ok {
			return Owner{Kind: mark.kind, Name: name, Mark: "label " + mark.label}, true
		}
	}
	if m.Labels[labelExternalSecrets] == "true" {
		return Owner{Kind: OwnerController, Name: "external-secrets", Mark: "label " + labelExternalSecrets}, true
	}
	for _, manager := range m.Managers {
		switch manager {
		case "argocd-controller", "argocd-application-controller":
			return Owner{Kind: OwnerArgoCD, Mark: "field manager " + manager}, true
		case "kustomize-controller", "helm-controller":
			return Owner{Kind: OwnerFlux, Mark: "field manager " + manager}, true
		case "cert-manager-certificates-issuing", "external-secrets":
			kind := OwnerController
			if manager != "external-secrets" {
				kind = OwnerCertManager
			}
			return Owner{Kind: kind, Mark: "field manager " + manager}, true
		}
	}
	return Owner{}, false
}
