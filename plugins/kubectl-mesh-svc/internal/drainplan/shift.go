package drainplan

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// after returns the snapshot as it will be when the planned items are written.
func after(st *meshstate.State, p *annotate.Plan) *routing.Snapshot {
	snap := &st.Snapshot
	changed := map[string]map[routing.Key]*routing.Service{}
	for _, i := range p.Items {
		key := routing.Key{Namespace: i.Namespace, Name: i.Name}
		c := snap.Find(i.Member.Name)
		if i.Result != v1alpha1.ResultPlanned || c == nil || c.Services[key] == nil {
			continue
		}
		if changed[c.Name] == nil {
			changed[c.Name] = map[routing.Key]*routing.Service{}
		}
		changed[c.Name][key] = annotated(c.Services[key], i.After)
	}
	for name, services := range changed {
		snap = snap.WithServices(name, services)
	}
	return snap
}

// annotated returns a copy of a Service with other annotations.
func annotated(svc *routing.Service, values annotate.Values) *routing.Service {
	out := *svc
	out.Annotations = map[string]string{}
	for k, v := range svc.Annotations {
		out.Annotations[k] = v
	}
	for k, v := range values {
		if v == nil {
			delete(out.Annotations, k)
		} else {
			out.Annotations[k] = *v
		}
	}
	return &out
}

// Shifts predicts what a plan for one cluster does to the clients of the others: one entry for each Service, client cluster, port and
// family whose answers change. Clients of the cluster itself go on using its endpoints, whether or not it shares them.
func Shifts(st *meshstate.State, p *annotate.Plan, cluster string) []v1alpha1.Shift {
	before, after := &st.Snapshot, after(st, p)
	var out []v1alpha1.Shift
	for _, i := range p.Items {
		if i.Result != v1alpha1.ResultPlanned {
			continue
		}
		key := routing.Key{Namespace: i.Namespace, Name: i.Name}
		for n := range before.Clusters {
			client := &before.Clusters[n]
			svc := client.Services[key]
			if client.Name == cluster || svc == nil {
				continue
			}
			for _, fe := range svc.Frontends() {
				for _, pr := range transitions(before, after, client.Name, key, fe) {
					s := v1alpha1.Shift{Namespace: key.Namespace, Name: key.Name, Client: client.Name, IPFamily: fe.Family(), Versions: pr.versions, Complete: pr.complete,
						Port: v1alpha1.Port{Name: fe.Name, Protocol: fe.Protocol, Port: fe.Port.Port}}
					for c := range pr.before.Shares {
						was, will := pr.before.Shares[c].Fraction(), pr.after.Shares[c].Fraction()
						if was != will {
							s.Shares = append(s.Shares, v1alpha1.ShareShift{Cluster: pr.before.Shares[c].Cluster, Before: was, After: will})
						}
					}
					if len(s.Shares) > 0 {
						out = append(out, s)
					}
				}
			}
		}
	}
	return out
}

// transition is what happens before and after a change, under the rules of the same Cilium versions.
type transition struct {
	versions        []string
	before, after   routing.Outcome
	complete        bool
	incompleteAfter bool // the outcome after the change is not all that may happen
}

// transitions predicts one client cluster's frontend in two snapshots. Where Cilium's versions differ and are not known
// there is one for each outcome that differs.
func transitions(before, after *routing.Snapshot, client string, key routing.Key, fe routing.Frontend) []transition {
	b, a := routing.Decide(before, client, key, fe), routing.Decide(after, client, key, fe)
	var out []transition
	for _, ob := range b.Outcomes {
		for _, oa := range a.Outcomes {
			versions, meet := common(ob.Versions, oa.Versions)
			if meet {
				out = append(out, transition{versions, ob, oa, !b.Incomplete && !a.Incomplete, a.Incomplete})
			}
		}
	}
	return out
}

// common returns the versions that two outcomes share; an outcome without versions stands for all.
func common(a, b []string) (both []string, meet bool) {
	switch {
	case len(a) == 0:
		return b, true
	case len(b) == 0:
		return a, true
	}
	for _, v := range a {
		if slices.Contains(b, v) {
			both = append(both, v)
		}
	}
	return both, len(both) > 0
}
