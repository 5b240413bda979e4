package ca

import (
	"cmp"
	"fmt"
	"slices"
)

// Flux's marks on objects that a HelmRelease installs, and on objects that a Kustomization applies.
const (
	labelFlux                   = "helm.toolkit.fluxcd.io/name"
	labelFluxNamespace          = "helm.toolkit.fluxcd.io/namespace"
	labelKustomization          = "kustomize.toolkit.fluxcd.io/name"
	labelKustomizationNamespace = "kustomize.toolkit.fluxcd.io/namespace"
)

// fluxObject is the object of Flux that keeps a Secret.
type fluxObject struct {
	kind, name, namespace string // kind as the flux command names it
}

// fluxOf reads the marks of Flux on a leaf Secret. A HelmRelease comes first: Flux renders it from Cilium's chart, and can run Helm again.
func (s *State) fluxOf(l stale) fluxObject {
	labels := s.Secrets[l.spec.Secret].Object.Labels
	if name := labels[labelFlux]; name != "" {
		return fluxObject{"helmrelease", name, cmp.Or(labels[labelFluxNamespace], s.Namespace)}
	}
	if name := labels[labelKustomization]; name != "" {
		return fluxObject{"kustomization", name, cmp.Or(labels[labelKustomizationNamespace], s.Namespace)}
	}
	return fluxObject{}
}

// flux handles leaf certificates that Flux keeps: it can run Helm again for a HelmRelease. What a Kustomization applies, or what only the field manager
// tells to be Flux's, comes from a repository in which a person must change it.
func (n *steps) flux(leaves []stale) {
	byObject := map[fluxObject][]stale{}
	var order []fluxObject
	for _, l := range leaves {
		o := n.state.fluxOf(l)
		if !slices.Contains(order, o) {
			order = append(order, o)
		}
		byObject[o] = append(byObject[o], l)
	}
	for _, o := range order {
		mine := byObject[o]
		switch o.kind {
		case "helmrelease":
			n.dropHubble(mine)
			n.bundleByHand("HelmRelease " + o.namespace + "/" + o.name)
			n.add("Flux runs Helm again, which signs the leaf certificates again", names(mine), n.state.tool("flux", o.namespace, "reconcile", "helmrelease", o.name, "--force"))
		case "kustomization":
			n.add(fmt.Sprintf("Kustomization %s/%s applies these from its source: issue new certificates from the new CA there, with the same names and usages; then let Flux apply them", o.namespace, o.name),
				names(mine), n.state.tool("flux", o.namespace, "reconcile", "kustomization", o.name, "--with-source"))
		default:
			// The release tells whose chart it is, even if the objects have lost their labels.
			if r := n.state.Release; r.Known() {
				n.dropHubble(mine)
				n.bundleByHand("the HelmRelease of release " + r.Name)
				n.add(fmt.Sprintf("Flux runs Helm again for release %s, which signs the leaf certificates again; a HelmRelease may have another name than its release", r.Name), names(mine),
					n.state.tool("flux", r.Namespace, "reconcile", "helmrelease", r.Name, "--force"))
				continue
			}
			n.byHand(mine)
		}
	}
}
