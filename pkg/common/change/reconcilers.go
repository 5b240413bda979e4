package change

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// The tools that write objects again and again.
const (
	ToolArgo     = "Argo CD"
	ToolFlux     = "Flux"
	ToolHelm     = "Helm"
	ToolOperator = "operator"
)

// Reconciler is a tool that an object belongs to, by what the object says itself.
type Reconciler struct {
	Tool string
	// Source is what the tool takes the object from, such as "application shop"; "" where the object does not say.
	Source string
}

// String names the reconciler as a sentence does.
func (r Reconciler) String() string {
	return strings.TrimSpace(r.Tool + " " + r.Source)
}

// tools maps field managers to their tool. Argo CD: common.ArgoCDSSAManager and the older name of its
// controller; Flux: the names of its controllers; Helm: the name of its binary.
var tools = map[string]string{
	"argocd-controller": ToolArgo, "argocd-application-controller": ToolArgo,
	"kustomize-controller": ToolFlux, "helm-controller": ToolFlux, "helm": ToolHelm,
}

// tool returns the tool behind a field manager, "" for one that is not known.
func tool(manager string) string { return tools[strings.ToLower(manager)] }

// reconcilers reads what an object says it belongs to. Argo CD tracks by annotation (the default since 3.0) or by a label;
// its older default label, app.kubernetes.io/instance, is set by Helm charts of everybody and so counts only beside one of Argo CD's field managers.
func reconcilers(svc *corev1.Service) []Reconciler {
	var out []Reconciler
	add := func(tool, kind, namespace, name string) {
		r := Reconciler{Tool: tool}
		if name != "" {
			if namespace != "" {
				name = namespace + "/" + name
			}
			r.Source = kind + " " + name
		}
		if !slices.ContainsFunc(out, func(have Reconciler) bool { return have.Tool == r.Tool }) {
			out = append(out, r)
		}
	}
	app, _, tracked := strings.Cut(svc.Annotations["argocd.argoproj.io/tracking-id"], ":")
	switch instance := svc.Labels["argocd.argoproj.io/instance"]; {
	case tracked:
		add(ToolArgo, "application", "", app)
	case instance != "":
		add(ToolArgo, "application", "", instance)
	case managedByTool(svc, ToolArgo):
		add(ToolArgo, "application", "", svc.Labels["app.kubernetes.io/instance"])
	}
	if name := svc.Labels["kustomize.toolkit.fluxcd.io/name"]; name != "" {
		add(ToolFlux, "Kustomization", svc.Labels["kustomize.toolkit.fluxcd.io/namespace"], name)
	}
	if name := svc.Labels["helm.toolkit.fluxcd.io/name"]; name != "" {
		add(ToolFlux, "HelmRelease", svc.Labels["helm.toolkit.fluxcd.io/namespace"], name)
	}
	if managedByTool(svc, ToolFlux) {
		add(ToolFlux, "", "", "")
	}
	// The annotations are Helm's own; the label alone is also on charts that another tool rendered.
	release := svc.Annotations["meta.helm.sh/release-name"]
	rendered := svc.Labels["app.kubernetes.io/managed-by"] == "Helm" && len(out) == 0
	if len(out) == 0 && (release != "" || rendered || managedByTool(svc, ToolHelm)) {
		add(ToolHelm, "release", svc.Annotations["meta.helm.sh/release-namespace"], release)
	}
	if owner := metav1.GetControllerOf(svc); owner != nil {
		add(ToolOperator, "of "+owner.Kind, "", owner.Name)
	}
	return out
}

// managedByTool reports whether a field manager of the tool wrote any field of the object.
func managedByTool(svc *corev1.Service, name string) bool {
	return slices.ContainsFunc(svc.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return tool(f.Manager) == name })
}

// fix says where a change is made so that the reconciler keeps it. name is the Service's, or stands for several.
func (p *Plan) fix(r Reconciler, manager, name string) string {
	edit := "set the annotations there"
	if p.Local != "" {
		edit = fmt.Sprintf("%s %s --local -f FILE", p.Local, name)
	}
	source := r.Source
	if source == "" {
		source = "its source"
	}
	switch {
	case r.Tool == ToolFlux && strings.HasPrefix(r.Source, "HelmRelease"):
		return fmt.Sprintf("set the annotations in the values or the postRenderers of %s", source)
	case r.Tool == ToolArgo, r.Tool == ToolFlux:
		return fmt.Sprintf("change the manifest in the Git repository of %s: %s", source, edit)
	case r.Tool == ToolHelm:
		if p.Local == "" {
			return fmt.Sprintf("set the annotations in the values of %s", source)
		}
		return fmt.Sprintf("set the annotations in the values of %s, or in a post-renderer that runs: %s %s --local -f -", source, p.Local, name)
	case r.Tool == ToolOperator:
		return fmt.Sprintf("set the annotations on %s, which controls it", strings.TrimPrefix(source, "of "))
	}
	return fmt.Sprintf("change it where %q takes it from", manager)
}

// reconciler returns the tool behind the owner of a key, with the source that the object names.
func (i *Item) reconciler(manager string) Reconciler {
	t := tool(manager)
	for _, r := range i.Managed {
		if r.Tool == t || t == "" && r.Tool == ToolOperator {
			return r
		}
	}
	return Reconciler{Tool: t}
}

// owners returns the reconcilers of an item that would change: first who owns a key, then who manages the object without owning one.
func (p *Plan) owners(i *Item) []v1alpha1.Reconciler {
	var out []v1alpha1.Reconciler
	seen := map[string]bool{}
	for _, o := range i.Owners {
		if !o.Reconciler() || slices.Contains(p.exempt(), o.Manager) {
			continue
		}
		r := i.reconciler(o.Manager)
		seen[r.Tool] = true
		out = append(out, v1alpha1.Reconciler{Tool: r.Tool, Source: r.Source, Manager: o.Manager, Key: o.Key, Fix: p.fix(r, o.Manager, i.Name)})
	}
	for _, r := range i.Managed {
		if !seen[r.Tool] {
			out = append(out, v1alpha1.Reconciler{Tool: r.Tool, Source: r.Source, Fix: p.fix(r, "", i.Name)})
		}
	}
	return out
}

// named is how many Services a note names; the rest is counted.
const named = 5

// Notes says for people which reconcilers the plan meets, one line for each, with the durable way to make the change.
// Owned is who owns a key that would change; the others go on, as a reconciler leaves what it does not own as a rule.
func (p *Plan) Notes() (owned, others []string) {
	type group struct {
		owner   bool
		manager string
		keys    []string
		of      Reconciler
		items   []string
		names   []string
	}
	var groups []*group
	byID := map[string]*group{}
	for _, i := range p.Items {
		if i.Result != v1alpha1.ResultPlanned && i.Result != v1alpha1.ResultRefused {
			continue
		}
		for _, o := range p.owners(i) {
			id := o.Manager + "\x00" + o.Tool + "\x00" + o.Source
			g := byID[id]
			if g == nil {
				g = &group{owner: o.Manager != "", manager: o.Manager, of: Reconciler{Tool: o.Tool, Source: o.Source}}
				byID[id], groups = g, append(groups, g)
			}
			if o.Key != "" && !slices.Contains(g.keys, o.Key) {
				g.keys = append(g.keys, o.Key)
			}
			if at := fmt.Sprintf("%s/%s in %s", i.Namespace, i.Name, i.Member.Name); !slices.Contains(g.items, at) {
				g.items = append(g.items, at)
			}
			if !slices.Contains(g.names, i.Name) {
				g.names = append(g.names, i.Name)
			}
		}
	}
	for _, g := range groups {
		name := "NAME..."
		if len(g.names) <= named {
			name = strings.Join(g.names, " ")
		}
		who, fix := g.of.String(), p.fix(g.of, g.manager, name)
		services := "service " + List(g.items, named)
		if g.owner {
			manager := fmt.Sprintf("%q", g.manager)
			if who != "" {
				manager += " (" + who + ")"
			}
			owned = append(owned, fmt.Sprintf("%s: %s is owned by %s, which would write it again; to make it last, %s", services, strings.Join(g.keys, ", "), manager, fix))
			continue
		}
		others = append(others, fmt.Sprintf("%s: managed by %s, which does not own the annotations to be written and as a rule leaves them; should it revert them, %s", services, who, fix))
	}
	return owned, others
}

// List joins names for a sentence: at most limit of them, the rest is counted.
func List(names []string, limit int) string {
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}
