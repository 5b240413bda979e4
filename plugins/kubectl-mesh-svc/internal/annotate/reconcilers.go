package annotate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// fix says where a change is made so that the keeper keeps it. name is the Service's, or stands for several.
func (p *Plan) fix(k owners.Keeper, name string) string {
	edit := "set the annotations there"
	if p.Local != "" {
		edit = fmt.Sprintf("%s %s --local -f FILE", p.Local, name)
	}
	switch {
	case k.Tool == owners.ToolFlux && k.Kind == "HelmRelease", k.Tool == owners.ToolHelm && p.Local == "":
		return "set the annotations in " + k.Where()
	case k.Tool == owners.ToolArgo, k.Tool == owners.ToolFlux:
		return fmt.Sprintf("change %s: %s", k.Where(), edit)
	case k.Tool == owners.ToolHelm:
		return fmt.Sprintf("set the annotations in %s, or in a post-renderer that runs: %s %s --local -f -", k.Where(), p.Local, name)
	case k.Tool == owners.ToolOperator && k.Name != "":
		return "set the annotations on " + k.Where()
	case k.Source() != "":
		return "change " + k.Where()
	case k.Manager == "":
		return fmt.Sprintf("change it where %s takes it from", k.Tool)
	}
	return fmt.Sprintf("change it where %q takes it from", k.Manager)
}

// keeping is a keeper, with the key that it owns; "" for one that keeps the Service without owning a key that would change.
type keeping struct {
	owners.Keeper
	key string
}

// keepers returns the reconcilers of an item that would change: first who owns a key, then who owns the Service's spec, then who is known by marks alone.
func (p *Plan) keepers(i *Item) []keeping {
	var out []keeping
	seen := func(k owners.Keeper) bool {
		return slices.ContainsFunc(out, func(o keeping) bool {
			return k.Tool != "" && o.Tool == k.Tool || k.Manager != "" && o.Manager == k.Manager
		})
	}
	for _, o := range i.Owners {
		for _, k := range owners.Named([]string{o.Manager}, i.Managed, p.exempt()...) {
			out = append(out, keeping{k, o.Key})
		}
	}
	for _, k := range append(owners.Named(i.spec, i.Managed, p.exempt()...), i.Managed...) {
		if !seen(k) {
			out = append(out, keeping{k, ""})
		}
	}
	return out
}

// owners returns the keepers of an item for the document.
func (p *Plan) owners(i *Item) []v1alpha1.Reconciler {
	var out []v1alpha1.Reconciler
	for _, o := range p.keepers(i) {
		out = append(out, v1alpha1.Reconciler{Tool: o.Tool, Source: o.Source(), FieldManager: o.Manager, Key: o.key, Fix: p.fix(o.Keeper, inNamespace(i.Name, []string{i.Namespace}))})
	}
	return out
}

// named is how many Services a note names; the rest is counted.
const named = 5

// group is what several Services have in common: a keeper, and whether it owns keys.
type group struct {
	keeping
	keys              []string
	items             []string
	names, namespaces []string
}

// Notes says for people which reconcilers the plan meets, one line for each, with the durable way to make the change.
// Owned is who owns a key that would change; the others are those that keep the Service.
func (p *Plan) Notes() (owned, others []string) {
	var groups []*group
	byID := map[string]*group{}
	for _, i := range p.Items {
		if i.Result != v1alpha1.ResultPlanned && i.Result != v1alpha1.ResultRefused {
			continue
		}
		for _, o := range p.keepers(i) {
			id := fmt.Sprintf("%s\x00%s\x00%s\x00%t", o.Manager, o.Tool, o.Source(), o.key != "")
			g := byID[id]
			if g == nil {
				g = &group{keeping: o}
				byID[id], groups = g, append(groups, g)
			}
			if o.key != "" && !slices.Contains(g.keys, o.key) {
				g.keys = append(g.keys, o.key)
			}
			if at := fmt.Sprintf("%s/%s in %s", i.Namespace, i.Name, i.Member.Name); !slices.Contains(g.items, at) {
				g.items = append(g.items, at)
			}
			if !slices.Contains(g.names, i.Name) {
				g.names = append(g.names, i.Name)
			}
			if !slices.Contains(g.namespaces, i.Namespace) {
				g.namespaces = append(g.namespaces, i.Namespace)
			}
		}
	}
	for _, g := range groups {
		if line := p.note(g); g.key != "" {
			owned = append(owned, line)
		} else {
			others = append(others, line)
		}
	}
	return owned, others
}

// inNamespace are the arguments that name Services of one namespace in manifests: another namespace may have one of the same name.
func inNamespace(names string, namespaces []string) string {
	if len(namespaces) != 1 {
		return names
	}
	return names + " -n " + namespaces[0]
}

// note is the line for one group.
func (p *Plan) note(g *group) string {
	name := "NAME..."
	if len(g.names) <= named {
		name = strings.Join(g.names, " ")
	}
	services, fix := "service "+List(g.items, named), p.fix(g.Keeper, inNamespace(name, g.namespaces))
	who := g.Keeper.String()
	manager := fmt.Sprintf("%q", g.Manager)
	if who != "" {
		manager += " (" + who + ")"
	}
	switch {
	case g.key != "":
		return fmt.Sprintf("%s: %s is owned by %s, which would write it again; to make it last, %s", services, strings.Join(g.keys, ", "), manager, fix)
	case g.Spares():
		return fmt.Sprintf("%s: managed by %s, which does not own the annotations to be written and as a rule leaves them; should it revert them, %s", services, who, fix)
	case g.Manager == "":
		return fmt.Sprintf("%s: kept by another controller, %s, which can revert the change; to make it last, %s", services, who, fix)
	}
	return fmt.Sprintf("%s: kept by another controller, field manager %s, which can revert the change; to make it last, %s", services, manager, fix)
}

// List joins names for a sentence: at most limit of them, the rest is counted.
func List(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}
