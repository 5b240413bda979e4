package drill

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
)

// forecast is what a drill does to the clients, as predicted.
type forecast struct {
	shifts []v1alpha1.Shift
	// affected are the clusters whose clients use the backends that are taken away, and will no longer.
	affected map[string]bool
	// left are the clusters whose clients would have no backend at all.
	left []string
	// unsure says what prevents a prediction.
	unsure []string
}

// foresee predicts what happens if a cluster's backends of a Service are taken away. It is pure: the state comes in as a snapshot.
func foresee(snap *routing.Snapshot, cluster string, key routing.Key, port int32, with drillrecord.With) forecast {
	f := forecast{affected: map[string]bool{}}
	for _, c := range snap.Clusters {
		if c.Gap != "" {
			f.doubt("cluster %s could not be read (%s)", c.Name, c.Gap)
		}
	}
	if len(f.unsure) > 0 {
		return f
	}
	after := without(snap, cluster, key, with)
	for _, c := range snap.Clusters {
		svc := c.Services[key]
		if svc == nil {
			continue // no client there can call it
		}
		// What is unknown prevents a prediction only if it may leave the clients without a backend.
		worst, _ := snap.Worst(c.Name, cluster, key)
		worstAfter, _ := after.Worst(c.Name, cluster, key)
		for _, fe := range svc.Frontends() {
			p := prediction{before: routing.Decide(snap, c.Name, key, fe), after: routing.Decide(after, c.Name, key, fe)}
			p.mayLose = prediction{before: routing.Decide(worst, c.Name, key, fe), after: routing.Decide(worstAfter, c.Name, key, fe)}.loses()
			f.add(p, cluster, fe.Port.Port == port)
		}
		if c.Name != cluster && (lostOnNodes(snap, after, c.Name, key) || lostOnNodes(worst, worstAfter, c.Name, key)) {
			f.doubt("in %s, clients on nodes without an endpoint of %s would have no backend (internalTrafficPolicy is Local), and nodes are not read", c.Name, key)
		}
	}
	return f
}

// lostOnNodes reports whether clients on nodes without an endpoint lose all backends; see Snapshot.OnEmptyNodes.
func lostOnNodes(before, after *routing.Snapshot, client string, key routing.Key) bool {
	nodesBefore, nodesAfter := before.OnEmptyNodes(client, key), after.OnEmptyNodes(client, key)
	if nodesBefore == nil || nodesAfter == nil {
		return false
	}
	return slices.ContainsFunc(before.Find(client).Services[key].Frontends(), func(fe routing.Frontend) bool {
		return prediction{before: routing.Decide(nodesBefore, client, key, fe), after: routing.Decide(nodesAfter, client, key, fe)}.loses()
	})
}

func noBackends(o routing.Outcome) bool { return len(o.Backends) == 0 }

// without is the state in which the backends are gone. What is terminating does not count: it ends meanwhile.
func without(snap *routing.Snapshot, cluster string, key routing.Key, with drillrecord.With) *routing.Snapshot {
	after := snap.WithoutEndpoints(cluster, key)
	if c := snap.Find(cluster); with == drillrecord.Shared && c != nil && c.Services[key] != nil {
		unshared := *c.Services[key]
		unshared.Annotations = maps.Clone(unshared.Annotations)
		if unshared.Annotations == nil {
			unshared.Annotations = map[string]string{}
		}
		unshared.Annotations[drillrecord.FieldShared] = "false"
		after = snap.WithServices(cluster, map[routing.Key]*routing.Service{key: &unshared})
	}
	return after.ReadyOnly([]routing.Key{key})
}

func (f *forecast) doubt(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); !slices.Contains(f.unsure, line) {
		f.unsure = append(f.unsure, line)
	}
}

// prediction is who answers the clients of one cluster on one port, before and after the backends are taken away.
type prediction struct {
	before, after routing.Decision
	mayLose       bool // at worst they lose their last backend
}

// loses reports whether the clients lose their last backend, or may lose it because of a Cilium version that is unknown.
func (p prediction) loses() bool {
	return slices.ContainsFunc(p.after.Outcomes, noBackends) && !slices.ContainsFunc(p.before.Outcomes, noBackends)
}

// add compares the decisions for the clients of one cluster on one port. called says that it is the port that the clients of the drill call.
func (f *forecast) add(p prediction, cluster string, called bool) {
	before, after := p.before, p.after
	switch {
	case before.Kind != routing.KindBalanced && called:
		f.doubt("the clients in %s do not reach the Service through Cilium's load balancing (%s)", before.Client, before.Kind)
		return
	case before.Kind != routing.KindBalanced:
		return
	case p.mayLose && (before.Incomplete || after.Incomplete):
		f.doubt("clients in %s: %s", before.Client, before.Doubt+strings.TrimPrefix(after.Doubt, before.Doubt))
	}
	if p.loses() && !slices.Contains(f.left, before.Client) {
		f.left = append(f.left, before.Client)
	}
	had, has := uses(before, cluster), uses(after, cluster)
	if called && had && !has {
		f.affected[before.Client] = true
	}
	if called {
		f.shifts = append(f.shifts, shiftOf(before, after))
	}
}

// uses reports whether clients use, or may use, backends of a cluster.
func uses(d routing.Decision, cluster string) bool {
	return slices.ContainsFunc(d.Outcomes, func(o routing.Outcome) bool {
		return slices.ContainsFunc(o.Shares, func(s routing.Share) bool { return s.Cluster == cluster && s.Backends > 0 })
	})
}

// shiftOf describes the change of the shares. Where they depend on an unknown version, it has those of the first one.
func shiftOf(before, after routing.Decision) v1alpha1.Shift {
	fe := before.Frontend
	out := v1alpha1.Shift{
		Namespace: before.Service.Namespace, Name: before.Service.Name, Client: before.Client, IPFamily: fe.Family(),
		Port:     v1alpha1.Port{Name: fe.Name, Protocol: fe.Protocol, Port: fe.Port.Port},
		Complete: len(before.Outcomes) == 1 && len(after.Outcomes) == 1 && !before.Incomplete && !after.Incomplete, Shares: []v1alpha1.ShareShift{},
	}
	if len(before.Outcomes) == 0 || len(after.Outcomes) == 0 {
		return out
	}
	then := map[string]float64{}
	for _, s := range after.Outcomes[0].Shares {
		then[s.Cluster] = s.Fraction()
	}
	for _, s := range before.Outcomes[0].Shares {
		out.Shares = append(out.Shares, v1alpha1.ShareShift{Cluster: s.Cluster, Before: s.Fraction(), After: then[s.Cluster]})
	}
	return out
}

// err says why the drill must not begin; nil if another cluster can answer. clients are the clusters whose clients send requests.
func (f forecast) err(cluster string, with drillrecord.With, clients []string) error {
	switch {
	case len(f.unsure) > 0:
		return fmt.Errorf("cannot determine whether another cluster can answer: %s", strings.Join(f.unsure, "; "))
	case len(f.left) > 0:
		return fmt.Errorf("without the backends in %s, clients in %s would have no backend: no other cluster can answer them", cluster, strings.Join(f.left, ", "))
	case len(f.affected) == 0 && with == drillrecord.Shared:
		return fmt.Errorf("clients of other clusters do not use the backends in %s, so --with shared would change nothing", cluster)
	case len(f.affected) == 0:
		return errors.New("no client uses the backends in " + cluster + ", so there is nothing to prove")
	case !slices.ContainsFunc(clients, func(name string) bool { return f.affected[name] }):
		return fmt.Errorf("no client in %s loses backends: only clients in %s do; name one of them with --from-clusters", strings.Join(clients, ", "), strings.Join(slices.Sorted(maps.Keys(f.affected)), ", "))
	}
	return nil
}
