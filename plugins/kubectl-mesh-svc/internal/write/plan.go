package write

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
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/verb"
)

// planner plans one request over the state that was read. It is pure.
type planner struct {
	verb.Request

	st *meshstate.State
}

// plan plans the changes in the target members. It does not change other members that were read. It fails if a Service does not
// exist in any target, or must not be changed.
func (p planner) plan(targets []*clusters.Member) (*annotate.Plan, error) {
	out := &annotate.Plan{Action: p.Action, Manager: plugin.FieldManager}
	keys := p.keys()
	for _, m := range targets {
		if m.Err != nil {
			continue
		}
		for _, key := range keys {
			svc := p.st.Services[m.Name][key]
			switch {
			case svc != nil:
				item, err := p.item(m, svc)
				if err != nil {
					return nil, err
				}
				out.Items = append(out.Items, item)
			case !p.Bulk:
				out.Items = append(out.Items, annotate.Absent(m, key.Namespace, key.Name))
			}
		}
	}
	return out, p.checkPresence(out, keys)
}

// item plans one Service, or says why it is skipped. It fails if the Service is named and must not be changed.
func (p planner) item(m *clusters.Member, svc *corev1.Service) (*annotate.Item, error) {
	key := routing.Key{Namespace: svc.Namespace, Name: svc.Name}
	item := p.edit(m, svc)
	skip := func(why string) { item.Result, item.Message = v1alpha1.ResultSkipped, why }
	if p.Selector != nil && !p.Selector.Matches(labels.Set(svc.Labels)) && item.Requested() {
		skip("its labels do not match --selector in this cluster")
	}
	if why := exempt.Always(p.Action, key, svc.Labels); why != "" {
		if !p.Bulk {
			return nil, fmt.Errorf("service %s is refused: %s", key, why)
		}
		skip(why)
		return item, nil
	}
	everywhere := p.Bulk && p.Action == "globalize"
	if everywhere && item.Requested() && p.lonely(key) {
		skip("no other cluster " + p.named() + "has it; global in only one cluster has no effect")
	}
	if everywhere && item.Requested() && exempt.ProxiedIn(&p.st.Snapshot, m.Name, key) {
		skip(exempt.ProxiedMessage)
	}
	if why := exempt.UnlessIncluded(svc.Namespace, string(svc.Spec.Type), svc.Labels, m.CiliumNamespace, m.Config.ServiceProxyName); why != "" && !p.IncludeSystem {
		if !p.Bulk {
			return nil, fmt.Errorf("service %s in cluster %q: %s; use --include-system if you mean it", key, m.Name, why)
		}
		skip(why)
	}
	return item, nil
}

// edit plans the annotations of one Service. A change of the shared annotation also removes the mark of a drain; otherwise undrain would overwrite
// the new value. While the Service is drained, such a change is refused unless it is forced.
func (p planner) edit(m *clusters.Member, svc *corev1.Service) *annotate.Item {
	_, shared := p.Values[cilium.AnnotationShared]
	if !shared || drainrecord.MarkOn(svc.Annotations) == nil {
		return annotate.NewItem(m, svc, p.Values)
	}
	values := maps.Clone(p.Values)
	values[drainrecord.AnnotationDrained] = nil
	item := annotate.NewItem(m, svc, values)
	if drainrecord.OutOfService(svc.Annotations, m.Name) && !p.Force {
		item.Result = v1alpha1.ResultRefused
		item.Message = fmt.Sprintf("it is drained; to change it anyway, use --force-conflicts; to end the drain and restore the previous value, run: %s", plugin.Undrain(p.Mesh, m.Name))
	}
	return item
}

// keys lists the Services that the request selects.
func (p planner) keys() []routing.Key {
	if p.Bulk {
		return p.st.Keys()
	}
	var keys []routing.Key
	for _, n := range p.Names {
		k := routing.Key{Namespace: p.Namespace, Name: n}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// lonely reports whether a Service is in one cluster at most, as far as that matters: of all clusters that the user named, or of the whole mesh. A
// cluster that was not read may have it too.
func (p planner) lonely(key routing.Key) bool {
	if len(p.st.Errors) > 0 {
		return false
	}
	var only *routing.Cluster
	for i := range p.st.Clusters {
		c := &p.st.Clusters[i]
		if c.Services[key] == nil {
			continue
		}
		if only != nil {
			return false
		}
		only = c
	}
	return p.Named || only == nil || p.st.PeersRead(only)
}

// checkPresence refuses a Service that does not exist in any target. For globalize it also refuses a Service that exists in
// only one cluster of the mesh, because there the global annotation has no effect.
func (p planner) checkPresence(plan *annotate.Plan, keys []routing.Key) error {
	if p.Bulk {
		return nil
	}
	for _, key := range keys {
		var in []string
		for _, c := range p.st.Clusters {
			if c.Services[key] != nil {
				in = append(in, c.Name)
			}
		}
		targeted := slices.ContainsFunc(plan.Items, func(i *annotate.Item) bool {
			return i.Namespace == key.Namespace && i.Name == key.Name && i.Result != v1alpha1.ResultAbsent
		})
		switch {
		case len(in) == 0:
			return fmt.Errorf("service %s not found in any cluster that was read: %s; %s", key, p.clusterNames(),
				plugin.WhereServices(p.Mesh, key.Namespace))
		case !targeted:
			return fmt.Errorf("service %s exists in %s, but not in the clusters to change (--in)", key, strings.Join(in, ", "))
		case p.Action == "globalize" && p.lonely(key) && p.Named:
			return fmt.Errorf("service %s exists in cluster %s only; a global service needs the same namespace and name in at least two of the named clusters (%s). Name more contexts with --contexts; or omit it, so that the whole mesh is read, and use --in %s",
				key, in[0], p.clusterNames(), commandline.Quote(p.Mesh.Cluster(in[0])))
		case p.Action == "globalize" && p.lonely(key):
			return fmt.Errorf("service %s exists in cluster %s only; a global service needs the same namespace and name in at least two of %s", key, in[0], p.clusterNames())
		}
	}
	return nil
}

// named limits a sentence to the named clusters, if these are not the whole mesh.
func (p planner) named() string {
	if p.Named {
		return "that was named "
	}
	return ""
}

func (p planner) clusterNames() string {
	names := make([]string, len(p.st.Clusters))
	for i, c := range p.st.Clusters {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}
