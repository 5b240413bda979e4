package globalsvc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// Request describes what a writing verb changes.
type Request struct {
	Edit
	Namespace string
	// Names are the Services; empty with a bulk request.
	Names []string
	// Bulk: every Service that was read (-l, --all, -A).
	Bulk          bool
	IncludeSystem bool
	// Selector is that of a bulk request; nil for all.
	Selector labels.Selector
	// Named: the clusters that were read are those that the user named; the mesh may have others.
	Named bool
	// Force also writes what a drain took out of service.
	Force bool
	// Mesh is the clusters that were read, for the commands that are printed.
	Mesh commandline.Mesh
}

// Plan plans the changes of a verb in the target members. It does not change
// other members that were read. It fails if a Service does not exist in any
// target, or must not be changed.
func Plan(st *meshstate.State, targets []*clusters.Member, r Request) (*annotate.Plan, error) {
	p := &annotate.Plan{Action: r.Action, Manager: Manager}
	keys, err := r.keys(st)
	if err != nil {
		return nil, err
	}
	for _, m := range targets {
		if m.Err != nil {
			continue
		}
		for _, key := range keys {
			svc := st.Services[m.Name][key]
			if svc == nil {
				if !r.Bulk {
					p.Items = append(p.Items, annotate.Absent(m, key.Namespace, key.Name))
				}
				continue
			}
			item := r.item(m, svc)
			if r.Selector != nil && !r.Selector.Matches(labels.Set(svc.Labels)) && toDo(item) {
				item.Result, item.Message = v1alpha1.ResultSkipped, "its labels do not match --selector in this cluster"
			}
			if why := never(key); why != "" {
				item.Result, item.Message = v1alpha1.ResultSkipped, why
				p.Items = append(p.Items, item)
				continue
			}
			if r.Bulk && r.Action == "globalize" && len(st.Errors) == 0 && toDo(item) && places(st, key) < 2 {
				item.Result, item.Message = v1alpha1.ResultSkipped, "no other cluster "+r.named()+"has it; global in only one cluster has no effect"
			}
			if r.Bulk && r.Action == "globalize" && toDo(item) && proxiedIn(st, m.Name, key) {
				item.Result, item.Message = v1alpha1.ResultSkipped, proxiedMessage
			}
			if why := protected(svc.Namespace, string(svc.Spec.Type), svc.Labels, m.CiliumNamespace, m.Config.ServiceProxyName); why != "" && !r.IncludeSystem {
				if !r.Bulk {
					return nil, fmt.Errorf("service %s in cluster %q: %s; use --include-system if you mean it", key, m.Name, why)
				}
				item.Result, item.Message = v1alpha1.ResultSkipped, why
			}
			p.Items = append(p.Items, item)
		}
	}
	return p, r.checkPresence(st, p, keys)
}

// item plans one Service. A change of the shared annotation also removes the mark of a drain; otherwise undrain would overwrite
// the new value. While the Service is drained, such a change is refused unless it is forced.
func (r Request) item(m *clusters.Member, svc *corev1.Service) *annotate.Item {
	_, shared := r.Values[cilium.AnnotationShared]
	if !shared || Drained(svc.Annotations) == nil {
		return annotate.NewItem(m, svc, r.Values)
	}
	values := maps.Clone(r.Values)
	values[AnnotationDrained] = nil
	item := annotate.NewItem(m, svc, values)
	if awaits(svc.Annotations, m.Name) && !r.Force {
		item.Result = v1alpha1.ResultRefused
		item.Message = fmt.Sprintf("it is drained; to change it anyway, use --force-conflicts; to end the drain and restore the previous value, run: %s", commands{mesh: r.Mesh}.undrain(m.Name))
	}
	return item
}

// toDo reports whether an item would be written, or is refused.
func toDo(i *annotate.Item) bool {
	return i.Result == v1alpha1.ResultPlanned || i.Result == v1alpha1.ResultRefused
}

// StillDrained lists the Services that a request makes global but that stay out of service, because their cluster is drained.
func StillDrained(st *meshstate.State, p *annotate.Plan, r Request) []string {
	if p.Action != "globalize" {
		return nil
	}
	var order []string
	of := map[string][]string{}
	for _, i := range p.Items {
		svc := st.Services[i.Member.Name][routing.Key{Namespace: i.Namespace, Name: i.Name}]
		if svc == nil || i.Result == v1alpha1.ResultSkipped || i.Result == v1alpha1.ResultRefused || !awaits(svc.Annotations, i.Member.Name) {
			continue
		}
		if _, forced := i.After[AnnotationDrained]; forced {
			continue
		}
		if of[i.Member.Name] == nil {
			order = append(order, i.Member.Name)
		}
		of[i.Member.Name] = append(of[i.Member.Name], i.Namespace+"/"+i.Name)
	}
	out := make([]string, len(order))
	for n, name := range order {
		out[n] = fmt.Sprintf("drained in %s: %s; other clusters do not use the endpoints there until the drain ends; to end it, run: %s", name, annotate.List(of[name], namedInNote), commands{mesh: r.Mesh}.undrain(name))
	}
	return out
}

// namedInNote is how many Services a note names; the rest is counted.
const namedInNote = 5

// keys lists the Services that the request selects.
func (r Request) keys(st *meshstate.State) ([]routing.Key, error) {
	if r.Bulk {
		return st.Keys(), nil
	}
	var keys []routing.Key
	for _, n := range r.Names {
		k := routing.Key{Namespace: r.Namespace, Name: n}
		if why := never(k); why != "" {
			return nil, fmt.Errorf("service %s is refused: %s", k, why)
		}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// Idle lists the Services for which a change of sharing or affinity has no effect, because they are not global in that cluster. It returns one
// line for the Services of a namespace that are not global in the same clusters.
func Idle(st *meshstate.State, p *annotate.Plan, r Request) []string {
	if p.Action == "globalize" || p.Action == "unglobalize" {
		return nil
	}
	var keys []routing.Key
	in := map[routing.Key][]string{}
	for _, i := range p.Items {
		key := routing.Key{Namespace: i.Namespace, Name: i.Name}
		svc := st.Services[i.Member.Name][key]
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
		g := group{key.Namespace, strings.Join(in[key], ", "), places(st, key) < 2 && len(st.Errors) == 0}
		if members[g] == nil {
			groups = append(groups, g)
		}
		members[g] = append(members[g], key)
	}
	out := make([]string, len(groups))
	for n, g := range groups {
		out[n] = idleNote(members[g], g.in, r.globalize(members[g], in[members[g][0]], g.lonely))
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

// globalize is the command that makes Services of one namespace global in some clusters, "" where it would be refused.
func (r Request) globalize(keys []routing.Key, in []string, lonely bool) string {
	if lonely || len(keys) > namedInCommand {
		return ""
	}
	words := []string{"globalize"}
	for _, k := range keys {
		words = append(words, k.Name)
	}
	words = append(words, "--in", commandline.List(in...))
	if r.IncludeSystem {
		words = append(words, "--include-system")
	}
	return commandline.Plugin(Display, r.Mesh, keys[0].Namespace, words...)
}

// places counts the clusters that have a Service.
func places(st *meshstate.State, key routing.Key) int {
	n := 0
	for _, c := range st.Clusters {
		if c.Services[key] != nil {
			n++
		}
	}
	return n
}

// checkPresence refuses a Service that does not exist in any target. For globalize it also refuses a Service that exists in
// only one cluster of the mesh, because there the global annotation has no effect.
func (r Request) checkPresence(st *meshstate.State, p *annotate.Plan, keys []routing.Key) error {
	if r.Bulk {
		return nil
	}
	for _, key := range keys {
		var in []string
		for _, c := range st.Clusters {
			if c.Services[key] != nil {
				in = append(in, c.Name)
			}
		}
		targeted := slices.ContainsFunc(p.Items, func(i *annotate.Item) bool {
			return i.Namespace == key.Namespace && i.Name == key.Name && i.Result != v1alpha1.ResultAbsent
		})
		switch {
		case len(in) == 0:
			return fmt.Errorf("service %s not found in any cluster that was read: %s", key, clusterNames(st))
		case !targeted:
			return fmt.Errorf("service %s exists in %s, but not in the clusters to change (--in)", key, strings.Join(in, ", "))
		case r.Action == "globalize" && len(in) < 2 && len(st.Errors) == 0 && r.Named:
			return fmt.Errorf("service %s exists in cluster %s only; a global service needs the same namespace and name in at least two of the named clusters (%s). Name more contexts with --contexts; or omit it, so that the whole mesh is read, and use --in %s",
				key, in[0], clusterNames(st), commandline.Quote(in[0]))
		case r.Action == "globalize" && len(in) < 2 && len(st.Errors) == 0:
			return fmt.Errorf("service %s exists in cluster %s only; a global service needs the same namespace and name in at least two of %s", key, in[0], clusterNames(st))
		}
	}
	return nil
}

// named limits a statement to the named clusters, if these are not the whole mesh.
func (r Request) named() string {
	if r.Named {
		return "that was named "
	}
	return ""
}

func clusterNames(st *meshstate.State) string {
	names := make([]string, len(st.Clusters))
	for i, c := range st.Clusters {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}

// never says why a Service is refused whatever the flags say, "" if it is not.
func never(k routing.Key) string {
	switch {
	case k == (routing.Key{Namespace: "default", Name: "kubernetes"}):
		return "it is the API server of each cluster; if it were global, clients would reach the API server of another cluster"
	case strings.HasPrefix(k.Name, cilium.DerivedServicePrefix):
		return "Cilium derives it from a ServiceImport and overwrites its annotations; set them in the ServiceExport (spec.exportedAnnotations)"
	}
	return ""
}

// protected says why a Service requires --include-system, "" if it does not.
func protected(namespace, serviceType string, labels map[string]string, ciliumNamespace, proxyName string) string {
	switch {
	case namespace == "kube-system":
		return "it is in kube-system"
	case ciliumNamespace != "" && namespace == ciliumNamespace:
		return "it is in Cilium's namespace"
	case serviceType == typeExternalName:
		return "it is an ExternalName Service and has no endpoints"
	case otherProxy(labels, proxyName):
		return "its label " + cilium.LabelServiceProxyName + " makes Cilium ignore it"
	}
	return ""
}

// otherProxy reports whether a label leaves the Service to another proxy than Cilium: neither an agent with the
// option k8s-service-proxy-name nor an exporter without it takes it.
func otherProxy(labels map[string]string, proxyName string) bool {
	return cilium.Ignored(labels, "") && cilium.Ignored(labels, proxyName)
}
