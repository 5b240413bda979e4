package pki

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// OwnerKind says what wrote an object and would write it again.
type OwnerKind string

// The owners that are told apart here. Every other tool of package owners has a kind too: its name in lower case, with dashes.
const (
	OwnerHelm            OwnerKind = "helm"
	OwnerCertgen         OwnerKind = "certgen"
	OwnerCertManager     OwnerKind = "cert-manager"
	OwnerArgoCD          OwnerKind = "argocd"
	OwnerFlux            OwnerKind = "flux"
	OwnerExternalSecrets OwnerKind = "external-secrets"
	OwnerController      OwnerKind = "controller" // another controller, named by the owner reference or the field manager
	OwnerMeshCA          OwnerKind = "mesh-ca"
	OwnerHand            OwnerKind = "hand" // kubectl or another person's tool
	OwnerUnknown         OwnerKind = "unknown"
)

// FieldManager is the field manager under which mesh-ca writes.
const FieldManager = "mesh-ca"

// FieldManagerTrust is the field manager under which mesh-ca writes the CA files of leaf Secrets in a federation and in a rotation, so that the time of
// its entry in managedFields is theirs.
const FieldManagerTrust = FieldManager + "-trust"

// Owner says who keeps an object, and from which mark that is known.
type Owner struct {
	Kind OwnerKind
	// Name is the Helm release, the Certificate, the ExternalSecret, the Argo CD application and so on, where the mark names one.
	Name string
	// Mark is the label, annotation, owner reference or field manager that told.
	Mark string

	source string // see Source
}

// Reconciles reports whether the owner will put its own content back by itself. Helm does not: it writes at the next upgrade only, and looks the
// live CA up first unless tls.ca.* is set in the values. certgen reuses the CA that it finds.
func (o Owner) Reconciles() bool {
	switch o.Kind {
	case OwnerHelm, OwnerCertgen, OwnerMeshCA, OwnerHand, OwnerUnknown, "":
		return false
	default:
		return true
	}
}

// String is the owner as tables show it.
func (o Owner) String() string {
	if o.Name == "" {
		return string(o.Kind)
	}
	return string(o.Kind) + "/" + o.Name
}

// Kept is the clause that says who keeps the object and why that matters, as a refusal words it.
func (o Owner) Kept() string {
	const would = "which would write its own CA again"
	if o.source == "" {
		return fmt.Sprintf("managed by %s (%s), %s", o, o.Mark, would)
	}
	return fmt.Sprintf("managed by %s, %s (%s, %s)", o.source, would, o.Kind, o.Mark)
}

// Source is the object that the content comes from, such as "ExternalSecret cilium-ca"; "" where its kind is not known or would not help.
func (o Owner) Source() string { return o.source }

// Helm's marks, which mesh-ca writes too.
const (
	LabelManagedBy             = owners.LabelManagedBy
	AnnotationRelease          = owners.AnnotationRelease
	AnnotationReleaseNamespace = owners.AnnotationReleaseNamespace
)

// content are the fields of a Secret whose owner keeps the CA or the certificate in it.
func content() []owners.Field {
	var out []owners.Field
	for _, key := range []string{KeyCACert, KeyCAKey, KeyTLSCert, KeyTLSKey} {
		// A manager that applied stringData owns the field under that name.
		out = append(out, owners.Data(key), owners.Field{"stringData", key})
	}
	return out
}

// FindOwner tells who keeps a Secret. Who owns the certificate or the key in it decides, if that is a controller. Else the marks on the object do; those of
// tools that reconcile come first: an object that Argo CD or Flux renders from Cilium's chart may carry Helm's marks as well. Fields that exempt managers
// own are the caller's own.
func FindOwner(m metav1.ObjectMeta, exempt ...string) Owner {
	fields := owners.Parse(m.ManagedFields)
	managers := fields.Of(content()...)
	marked := withoutGuests(owners.Marks(m), fields, managers)
	var weak []owners.Keeper // Helm and certgen, which write but do not reconcile a CA
	for _, k := range owners.Named(managers, marked, exempt...) {
		if o := ownerOf(k, m); o.Reconciles() {
			return o
		}
		weak = append(weak, k)
	}
	k, known := strongest(marked)
	if len(weak) > 0 && (!known || k.Tool == owners.ToolHelm) {
		k, known = weak[0], true
	}
	if known {
		return ownerOf(k, m)
	}
	if len(managers) == 0 { // only people and what leaves no other mark can still be told, and not from other fields of the object
		managers = slices.DeleteFunc(fields.Any(), func(manager string) bool {
			return owners.Reconciles(manager) && owners.ToolOf(manager) != owners.ToolCertgen
		})
	}
	return writer(issuedBefore(fields, managers, exempt), exempt)
}

// issuedBefore adds certgen to the field managers of a certificate that only mesh-ca has written since. certgen would issue it again at its next run, and its
// only mark is its entry in managedFields, which then owns f:data["."] and f:type.
func issuedBefore(fields owners.Fields, managers, exempt []string) []string {
	if slices.ContainsFunc(managers, func(manager string) bool { return !ours(manager, exempt) }) {
		return managers
	}
	for _, manager := range fields.Any() {
		if owners.ToolOf(manager) == owners.ToolCertgen && !slices.Contains(managers, manager) {
			managers = append(managers, manager)
		}
	}
	return managers
}

// ours reports whether mesh-ca writes under a field manager.
func ours(manager string, exempt []string) bool {
	return manager == FieldManager || manager == FieldManagerTrust || slices.Contains(exempt, manager)
}

// withoutGuests leaves out the marks of tools that keep other keys of the Secret and not the certificate, as an ExternalSecret does that merges a key of its
// own. Argo CD and Flux stay: they keep the object as a whole.
func withoutGuests(marked []owners.Keeper, fields owners.Fields, content []string) []owners.Keeper {
	guests := map[string]bool{}
	for _, manager := range fields.Below(owners.Field{"data"}) {
		if !slices.Contains(content, manager) {
			guests[owners.ToolOf(manager)] = true
		}
	}
	return slices.DeleteFunc(marked, func(k owners.Keeper) bool {
		return guests[k.Tool] && k.Tool != owners.ToolArgo && k.Tool != owners.ToolFlux && len(content) > 0
	})
}

// strongest returns the mark that tells most: what Argo CD and Flux put on an object, a controller may have copied along.
func strongest(marked []owners.Keeper) (owners.Keeper, bool) {
	if len(marked) == 0 {
		return owners.Keeper{}, false
	}
	return slices.MinFunc(marked, func(a, b owners.Keeper) int {
		rank := map[string]int{owners.ToolArgo: 1, owners.ToolFlux: 1, owners.ToolHelm: 2}
		return cmp.Compare(rank[a.Tool], rank[b.Tool])
	}), true
}

// ownerOf names a keeper as mesh-ca does.
func ownerOf(k owners.Keeper, m metav1.ObjectMeta) Owner {
	o := Owner{Kind: OwnerKind(strings.ReplaceAll(strings.ToLower(k.Tool), " ", "-")), Name: clean(k.Name), Mark: clean(k.Mark)}
	switch k.Tool {
	case owners.ToolArgo:
		o.Kind = OwnerArgoCD
	case owners.ToolHelm:
		o.Name, o.Mark = m.Annotations[AnnotationRelease], cmp.Or(o.Mark, "label "+LabelManagedBy)
	case owners.ToolOperator:
		kind := strings.TrimPrefix(k.Kind, "of ")
		o.Kind, o.Name = OwnerController, clean(kind+"/"+k.Name)
	case "":
		o.Kind, o.Name = OwnerController, clean(k.Manager)
	case owners.ToolFlux, owners.ToolCertManager: // their fixes have words of their own
	default:
		o.source = clean(k.Source())
	}
	return o
}

// writer is the owner of an object that nobody reconciles. certgen leaves no mark but its field manager: it writes fresh objects without labels or annotations.
func writer(managers, exempt []string) Owner {
	rank := func(manager string) (OwnerKind, int) {
		switch {
		case owners.ToolOf(manager) == owners.ToolCertgen:
			return OwnerCertgen, 0
		case ours(manager, exempt):
			return OwnerMeshCA, 1
		case owners.Interactive(manager):
			return OwnerHand, 2
		default:
			return OwnerUnknown, 3
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
