// Package drainplan plans what drain and undrain write, and predicts what that does to the clients of the other clusters. It is pure: the package
// drain reads, asks and writes.
package drainplan

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

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
)

// Drain plans to take one cluster out of service: for every Service that is global and shared there it writes shared: "false", under the key
// that Cilium reads first. A leftover alias is not changed. A Service that no other cluster would answer is refused.
//
// rec is the record that will store the previous values. Drain does not change it; Entries returns what it must contain.
func Drain(st *meshstate.State, m *clusters.Member, rec *drainrecord.Record, keeper string) *annotate.Plan {
	p := &annotate.Plan{Action: actionDrain + " " + m.Name, Manager: plugin.FieldManager}
	var keys []routing.Key
	for _, key := range servicesOf(st, m.Name) {
		svc := st.Services[m.Name][key]
		if leftByDrain(svc, m.Name) {
			item := annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: ptr.To(drainrecord.Unshared)})
			item.Message = "already drained"
			p.Items = append(p.Items, item)
			continue
		}
		if !cilium.Shared(svc.Annotations).Value {
			continue
		}
		mark := drainrecord.Mark{Drain: rec.ID, Cluster: m.Name, Record: keeper, Shared: former(svc)}
		item := annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: ptr.To(drainrecord.Unshared), drainrecord.AnnotationDrained: mark.Text()})
		if exempt.ProxiedIn(&st.Snapshot, m.Name, key) {
			item.Result, item.Message = v1alpha1.ResultSkipped, exempt.ProxiedMessage
		} else if why := exempt.WithoutEffect(string(svc.Spec.Type), svc.Labels, m.Config.ServiceProxyName); why != "" {
			item.Result, item.Message = v1alpha1.ResultSkipped, why
		} else if why := exempt.Always(actionDrain, key, svc.Labels); why != "" {
			item.Result, item.Message = v1alpha1.ResultSkipped, why
			if key == exempt.APIServer {
				item.Message += "; to remove the global annotation, run: " + unglobalize(m, key)
			}
			if st.Find(m.Name).Services[key].ReadyEndpoints() > 0 {
				item.Result = v1alpha1.ResultRefused
			}
		} else {
			keys = append(keys, key)
		}
		p.Items = append(p.Items, item)
	}
	left := losses(&st.Snapshot, m.Name, keys)
	uncertain := len(left) > 0 && len(Uncertain(st, m)) > 0
	for _, i := range p.Items {
		if lost := left[routing.Key{Namespace: i.Namespace, Name: i.Name}]; len(lost.clients) > 0 {
			i.Result, i.Message = v1alpha1.ResultRefused, "clients in "+strings.Join(lost.clients, ", ")+" would be left without a ready endpoint"
			if uncertain || lost.mayHaveBackend {
				i.Message += ", unless a cluster that could not be read completely has one"
			}
		}
	}
	return p
}

// actionDrain is the action of Drain without the name of its cluster.
const actionDrain = "drain"

// unglobalize returns the command that makes a Service of the system local in one cluster.
func unglobalize(m *clusters.Member, key routing.Key) string {
	return plugin.Command(commandline.MeshOf([]*clusters.Member{m}), key.Namespace, exempt.Unglobalize, key.Name, "--in", m.Name, "--include-system")
}

// former returns the value of the annotation that drain overwrites.
func former(svc *corev1.Service) *string {
	if v, ok := svc.Annotations[cilium.AnnotationShared]; ok {
		return &v
	}
	return nil
}

func servicesOf(st *meshstate.State, cluster string) []routing.Key {
	one := routing.Snapshot{}
	if c := st.Find(cluster); c != nil {
		one.Clusters = []routing.Cluster{*c}
	}
	return one.Keys()
}

// Entries returns the entries that a record needs for a plan of Drain: the previous values of the Services that will be written, and the
// values in the marks of Services that are already drained and not in the record.
func Entries(st *meshstate.State, p *annotate.Plan, rec *drainrecord.Record) []drainrecord.Entry {
	var out []drainrecord.Entry
	for _, i := range p.Items {
		key := routing.Key{Namespace: i.Namespace, Name: i.Name}
		e := drainrecord.Entry{Key: key, UID: i.UID, Former: i.Before[cilium.AnnotationShared]}
		switch i.Result {
		case v1alpha1.ResultPlanned:
		case v1alpha1.ResultUnchanged:
			known := rec.Find(key)
			switch {
			case known == nil:
				e.Former = drainrecord.MarkOn(st.Services[i.Member.Name][key].Annotations).Shared
			case known.UID == i.UID:
				continue
			default: // restored with its mark after the cluster was rebuilt
				e.Former = known.Former
			}
		default:
			continue
		}
		out = append(out, e)
	}
	return out
}

// WithDrains returns the state after other drains in progress have written the Services in their records.
func WithDrains(st *meshstate.State, records []*drainrecord.Record) *meshstate.State {
	snap := &st.Snapshot
	for _, rec := range records {
		c := snap.Find(rec.Cluster)
		if c == nil {
			continue
		}
		changed := map[routing.Key]*routing.Service{}
		for _, e := range rec.Entries {
			if svc := c.Services[e.Key]; svc != nil {
				changed[e.Key] = annotated(svc, annotate.Values{cilium.AnnotationShared: ptr.To(drainrecord.Unshared)})
			}
		}
		snap = snap.WithServices(c.Name, changed)
	}
	out := *st
	out.Snapshot = *snap
	return &out
}

// Differences names the Services for which a later plan differs from an earlier one, and says why.
func Differences(before, now *annotate.Plan) []string {
	items := func(p *annotate.Plan) map[routing.Key]*annotate.Item {
		out := map[routing.Key]*annotate.Item{}
		for _, i := range p.Items {
			if i.Requested() {
				out[routing.Key{Namespace: i.Namespace, Name: i.Name}] = i
			}
		}
		return out
	}
	was, is := items(before), items(now)
	var out []string
	for _, i := range now.Items {
		old := was[routing.Key{Namespace: i.Namespace, Name: i.Name}]
		switch {
		case !i.Requested(), old != nil && old.Message == i.Message && old.Same(i):
		case i.Message != "":
			out = append(out, fmt.Sprintf("service %s/%s: %s", i.Namespace, i.Name, i.Message))
		case old == nil:
			out = append(out, fmt.Sprintf("service %s/%s is now global and shared", i.Namespace, i.Name))
		default:
			out = append(out, fmt.Sprintf("service %s/%s was changed", i.Namespace, i.Name))
		}
	}
	for _, i := range before.Items {
		if i.Requested() && is[routing.Key{Namespace: i.Namespace, Name: i.Name}] == nil {
			out = append(out, fmt.Sprintf("service %s/%s no longer needs to be drained", i.Namespace, i.Name))
		}
	}
	return out
}

// leftByDrain reports whether the Service is as a drain of the cluster left it.
func leftByDrain(svc *corev1.Service, cluster string) bool {
	return drainrecord.OutOfService(svc.Annotations, cluster) && drainrecord.MarkOn(svc.Annotations).Cluster == cluster
}
