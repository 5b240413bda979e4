// Package drainplan plans what drain and undrain write, and predicts what that does to the clients of the other clusters. It is pure: the package
// drain reads, asks and writes.
package drainplan

import (
	"fmt"
	"slices"
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
	left, uncertain := losses(&st.Snapshot, m.Name, keys), len(Uncertain(st, m)) > 0
	for _, i := range p.Items {
		key := routing.Key{Namespace: i.Namespace, Name: i.Name}
		if who := left[key]; len(who) > 0 {
			i.Result, i.Message = v1alpha1.ResultRefused, "clients in "+strings.Join(who, ", ")+" would be left without a ready endpoint"
			if uncertain || slices.ContainsFunc(gatesUnknown(st, key), func(c string) bool { return c != m.Name }) {
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

// losses names, for each Service, the clusters whose clients have a ready endpoint now and would have none if the given cluster did not
// share it. Clusters without a ready endpoint now do not count, and neither do terminating endpoints.
func losses(snap *routing.Snapshot, cluster string, keys []routing.Key) map[routing.Key][]string {
	before, after := drained(snap, cluster, keys)
	out := map[routing.Key][]string{}
	for _, key := range keys {
		for i := range before.Clusters {
			client := &before.Clusters[i]
			if client.Name == cluster || client.Services[key] == nil {
				continue
			}
			lost := lostPorts(before, after, client.Name, key)
			switch {
			case len(lost) == 0:
			case len(lost) == len(client.Services[key].Frontends()):
				out[key] = append(out[key], client.Name)
			default:
				out[key] = append(out[key], client.Name+" (port "+strings.Join(lost, "; ")+")")
			}
		}
	}
	return out
}

// drained returns the ready endpoints of Services now, and with a cluster that does not share them.
func drained(snap *routing.Snapshot, cluster string, keys []routing.Key) (before, after *routing.Snapshot) {
	before = snap.ReadyOnly(keys)
	changed := map[routing.Key]*routing.Service{}
	for _, key := range keys {
		changed[key] = annotated(before.Find(cluster).Services[key], annotate.Values{cilium.AnnotationShared: ptr.To(drainrecord.Unshared)})
	}
	return before, before.WithServices(cluster, changed)
}

// lostPorts lists the ports and families on which the clients of a cluster have a backend before a change, and none after it.
func lostPorts(before, after *routing.Snapshot, client string, key routing.Key) []string {
	var out []string
	for _, fe := range before.Find(client).Services[key].Frontends() {
		if slices.ContainsFunc(transitions(before, after, client, key, fe), func(p transition) bool { return len(p.before.Backends) > 0 && len(p.after.Backends) == 0 }) {
			out = append(out, fmt.Sprintf("%d/%s, %s", fe.Port.Port, fe.Protocol, fe.Family()))
		}
	}
	return out
}

// Uncertain says why it cannot be predicted whether clients would be left without an endpoint: members that could not be read, peers of the
// drained cluster that are unknown or have no context, namespaces that may not be read, and nodes, which nobody reads.
func Uncertain(st *meshstate.State, m *clusters.Member) []string {
	var out []string
	for i := range st.Clusters {
		if c := &st.Clusters[i]; c.Gap != "" && c.Name != m.Name {
			out = append(out, fmt.Sprintf("%s could not be read (%s)", c.Name, c.Gap))
		}
	}
	for _, p := range m.Peers {
		if st.Find(p) == nil {
			out = append(out, p+" is a peer, but was not read")
		}
	}
	if !m.PeersKnown {
		out = append(out, "the peers of "+m.Name+" are unknown")
	}
	keys := slices.DeleteFunc(servicesOf(st, m.Name), func(key routing.Key) bool {
		svc := st.Find(m.Name).Services[key]
		return exempt.Always(actionDrain, key, svc.Labels) != "" || !cilium.Shared(svc.Annotations).Value
	})
	out = append(out, uncertainGates(st, m, keys)...)
	return append(out, uncertainNodes(&st.Snapshot, m.Name, keys)...)
}

// uncertainNodes names the clusters whose clients may be left without an endpoint on some of their nodes. With internalTrafficPolicy Local, Cilium does not use
// the endpoints on other nodes of the client's own cluster, but uses those of other clusters.
func uncertainNodes(snap *routing.Snapshot, cluster string, keys []routing.Key) []string {
	var out []string
	for i := range snap.Clusters {
		client := &snap.Clusters[i]
		local := slices.DeleteFunc(slices.Clone(keys), func(key routing.Key) bool {
			svc := client.Services[key]
			return client.Name == cluster || svc == nil || !svc.InternalLocal || svc.Headless || svc.Proxied()
		})
		var services []string
		for _, key := range local {
			before, after := drained(snap, cluster, []routing.Key{key})
			with := len(lostPorts(before, after, client.Name, key))
			if len(lostPorts(before.WithoutEndpoints(client.Name, key), after.WithoutEndpoints(client.Name, key), client.Name, key)) > with {
				services = append(services, key.String())
			}
		}
		if len(services) > 0 {
			out = append(out, fmt.Sprintf("in %s, clients on nodes without an endpoint of %s would have no other one (internalTrafficPolicy is Local), and nodes are not read",
				client.Name, annotate.List(services, namedServices)))
		}
	}
	return out
}

// uncertainGates names the namespaces that may not be read, where the clients of a Service would be left without an endpoint if they were not global.
func uncertainGates(st *meshstate.State, m *clusters.Member, keys []routing.Key) []string {
	keys = slices.DeleteFunc(slices.Clone(keys), func(key routing.Key) bool { return len(gatesUnknown(st, key)) == 0 })
	if len(keys) == 0 {
		return nil
	}
	expected, worst := losses(&st.Snapshot, m.Name, keys), losses(st.AssumeGates(m.Name), m.Name, keys)
	var in, services []string
	for _, key := range keys {
		if len(worst[key]) == 0 || len(expected[key]) > 0 { // the latter is refused anyway
			continue
		}
		services = append(services, key.String())
		for _, name := range gatesUnknown(st, key) {
			if !slices.Contains(in, name) {
				in = append(in, name)
			}
		}
	}
	if len(services) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("namespaces may not be read in %s, and clients of %s may have no other endpoint", strings.Join(in, ", "), annotate.List(services, namedServices))}
}

// namedServices is how many Services a reason names; the rest is counted.
const namedServices = 5

// gatesUnknown lists the clusters that have a Service, and of which it is unknown whether its namespace is global.
func gatesUnknown(st *meshstate.State, key routing.Key) []string {
	var out []string
	for i := range st.Clusters {
		if c := &st.Clusters[i]; c.Services[key] != nil && c.GateUnknown(key.Namespace) {
			out = append(out, c.Name)
		}
	}
	return out
}

// leftByDrain reports whether the Service is as a drain of the cluster left it.
func leftByDrain(svc *corev1.Service, cluster string) bool {
	return drainrecord.OutOfService(svc.Annotations, cluster) && drainrecord.MarkOn(svc.Annotations).Cluster == cluster
}
