package globalsvc

import (
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
)

// Shifts predicts what a plan for one cluster does to the clients of the others: one entry for each Service, client cluster, port and
// family whose answers change. Clients of the cluster itself go on using its endpoints, whether or not it shares them.
func Shifts(st *meshstate.State, p *annotate.Plan, cluster string) []v1alpha1.Shift {
	before, after := &st.Snapshot, After(st, p)
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
	versions      []string
	before, after routing.Outcome
	complete      bool
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
				out = append(out, transition{versions, ob, oa, !b.Incomplete && !a.Incomplete})
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
