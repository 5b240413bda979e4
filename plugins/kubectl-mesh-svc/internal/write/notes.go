package write

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
)

// notes lists what the user should know about a plan, one line each: what has no effect, and what the plan leaves.
func (p planner) notes(plan *annotate.Plan) []string {
	return slices.Concat(p.idle(plan), p.stillDrained(plan), p.proxied(plan), p.leftovers(plan))
}

// namedInNote is how many Services a note names; the rest is counted.
const namedInNote = 5

// idle lists the Services for which a change of sharing or affinity has no effect, because they are not global in that cluster. It returns one
// line for the Services of a namespace that are not global in the same clusters.
func (p planner) idle(plan *annotate.Plan) []string {
	if plan.Action == "globalize" || p.Action == "unglobalize" {
		return nil
	}
	var keys []routing.Key
	in := map[routing.Key][]string{}
	for _, i := range plan.Items {
		key := routing.Key{Namespace: i.Namespace, Name: i.Name}
		svc := p.st.Services[i.Member.Name][key]
		if svc == nil || i.Result != v1alpha1.ResultPlanned || cilium.Global(svc.Annotations).Value {
			continue
		}
		if len(in[key]) == 0 {
			keys = append(keys, key)
		}
		in[key] = append(in[key], i.Member.Name)
	}
	type group struct {
		namespace, in string
		lonely        bool // globalize refuses a Service of one cluster
	}
	var groups []group
	members := map[group][]routing.Key{}
	for _, key := range keys {
		g := group{key.Namespace, strings.Join(in[key], ", "), p.lonely(key)}
		if members[g] == nil {
			groups = append(groups, g)
		}
		members[g] = append(members[g], key)
	}
	out := make([]string, len(groups))
	for n, g := range groups {
		out[n] = idleNote(members[g], g.in, p.globalizeCommand(members[g], in[members[g][0]], g.lonely))
	}
	return out
}

func idleNote(keys []routing.Key, in, command string) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	are, they := "are", "they are"
	if len(keys) == 1 {
		are, they = "is", "it is"
	}
	if command != "" {
		command = "; run: " + command
	}
	return fmt.Sprintf("%s %s not global in %s: the change has no effect there until %s%s", annotate.List(names, namedInNote), are, in, they, command)
}

// namedInCommand is how many Services a printed command names. For more there is none.
const namedInCommand = 20

// globalizeCommand returns the command that makes Services of one namespace global in some clusters, "" where it would be refused.
func (p planner) globalizeCommand(keys []routing.Key, in []string, lonely bool) string {
	if lonely || len(keys) > namedInCommand {
		return ""
	}
	words := []string{"globalize"}
	for _, k := range keys {
		words = append(words, k.Name)
	}
	words = append(words, "--in", p.Mesh.Clusters(in...))
	if p.IncludeSystem {
		words = append(words, "--include-system")
	}
	return plugin.Command(p.Mesh, keys[0].Namespace, words...)
}

// stillDrained lists the Services that a request makes global but that stay out of service, because their cluster is drained.
func (p planner) stillDrained(plan *annotate.Plan) []string {
	if plan.Action != "globalize" {
		return nil
	}
	var order []string
	of := map[string][]string{}
	for _, i := range plan.Items {
		svc := p.st.Services[i.Member.Name][routing.Key{Namespace: i.Namespace, Name: i.Name}]
		if svc == nil || i.Result == v1alpha1.ResultSkipped || i.Result == v1alpha1.ResultRefused || !drainrecord.OutOfService(svc.Annotations, i.Member.Name) {
			continue
		}
		if _, forced := i.After[drainrecord.AnnotationDrained]; forced {
			continue
		}
		if of[i.Member.Name] == nil {
			order = append(order, i.Member.Name)
		}
		of[i.Member.Name] = append(of[i.Member.Name], i.Namespace+"/"+i.Name)
	}
	out := make([]string, len(order))
	for n, name := range order {
		out[n] = fmt.Sprintf("drained in %s: %s; other clusters do not use the endpoints there until the drain ends; to end it, run: %s", name, annotate.List(of[name], namedInNote), plugin.Undrain(p.Mesh, name))
	}
	return out
}

// proxied lists, in one line, the Services of a plan for which the change has no effect because an L7 proxy answers.
func (p planner) proxied(plan *annotate.Plan) []string {
	on := objectsByText{}
	if plan.Action == "unglobalize" {
		return nil
	}
	for _, i := range plan.Items {
		if i.Message == exempt.ProxiedMessage || p.planned(i) != nil && exempt.ProxiedIn(&p.st.Snapshot, i.Member.Name, routing.Key{Namespace: i.Namespace, Name: i.Name}) {
			on.add(exempt.ProxiedMessage, i)
		}
	}
	return on.lines(func(text, objects string) string { return fmt.Sprintf("%s: %s", objects, text) })
}

// leftovers lists the Services that a request makes global and that keep a key that Cilium does not read: one line for each key.
func (p planner) leftovers(plan *annotate.Plan) []string {
	if plan.Action != "globalize" {
		return nil
	}
	on := objectsByText{}
	for _, i := range plan.Items {
		svc := p.planned(i)
		if svc == nil {
			continue
		}
		for _, w := range cilium.WrongServiceKeys(svc.Annotations, svc.Labels) {
			on.add(w.Place()+" "+w.Key, i)
		}
	}
	return on.lines(func(key, objects string) string {
		return fmt.Sprintf("%s stays on %s: Cilium does not read it; for the command that removes it, run: %s", key, objects, p.checkCommand())
	})
}

// checkCommand returns the command that checks the Services of a request.
func (p planner) checkCommand() string {
	words := append([]string{"check"}, p.Names...)
	if p.Bulk {
		words = append(words, "--all")
	}
	if p.Bulk && p.Namespace == "" {
		words = append(words, "--all-namespaces")
	}
	return plugin.Command(p.Mesh, p.Namespace, words...)
}

// planned returns the Service of an item that a plan writes, or that already has the values.
func (p planner) planned(i *annotate.Item) *corev1.Service {
	switch i.Result {
	case v1alpha1.ResultPlanned, v1alpha1.ResultUnchanged, v1alpha1.ResultRefused:
		return p.st.Services[i.Member.Name][routing.Key{Namespace: i.Namespace, Name: i.Name}]
	}
	return nil
}

// objectsByText gathers Services and their clusters for one note of each kind.
type objectsByText map[string][]*annotate.Item

func (o objectsByText) add(text string, i *annotate.Item) { o[text] = append(o[text], i) }

// lines makes a line of each text and the Services that it holds for, such as "shop/web in us, eu".
func (o objectsByText) lines(line func(text, objects string) string) []string {
	var out []string
	for _, text := range slices.Sorted(maps.Keys(o)) {
		var order []string
		in := map[string][]string{}
		for _, i := range o[text] {
			name := i.Namespace + "/" + i.Name
			if in[name] == nil {
				order = append(order, name)
			}
			in[name] = append(in[name], i.Member.Name)
		}
		for n, name := range order {
			order[n] = name + " in " + strings.Join(in[name], ", ")
		}
		out = append(out, line(text, annotate.List(order, namedInNote)))
	}
	return out
}
