package check

import (
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/exempt"
)

// proxied reports whether the L7 proxy of the cluster answers for the Service. The settings of Cluster Mesh then have no effect.
func (p place) proxied() bool { return exempt.Proxied(p.svc) }

// checkProxied notes a global Service that the L7 proxy answers. If other clusters have an ordinary Service of this name, their
// agents import the placeholder.
func (c *checker) checkProxied(p place) {
	if !p.global.Value {
		return
	}
	const text = "the L7 proxy of the client's cluster answers for the Service (its endpoint is Cilium's placeholder); the global annotation has no effect"
	var hit []string
	for _, o := range c.global {
		if o.uses(p) && !o.external() && cilium.AffinityOf(o.svc.Annotations, o.rules[0].Rules).Value != cilium.AffinityLocal {
			hit = append(hit, o.name())
		}
	}
	if len(hit) == 0 {
		c.tell(finding.Proxied, p, "", text)
		return
	}
	rule := finding.Proxied
	rule.Severity = finding.Warning
	c.tell(rule, p, "unglobalize", "%s; Cilium exports the placeholder anyway, and connections of clients in %s to it fail", text, strings.Join(hit, ", "))
}

// checkCancelled finds settings of the clusters that cancel each other: not shared in any cluster, or affinity remote in all. Affinity remote in all is a normal
// configuration while only one cluster has endpoints: that cluster serves its own clients.
func (c *checker) checkCancelled() {
	names := placeNames(c.global)
	all := strings.Join(names, ", ")
	switch {
	case c.sharedNowhere:
		idle := ""
		if c.remoteEverywhere() {
			idle = "; affinity remote has no effect"
		}
		c.add(finding.Cancelled, names, c.svcFix("share", c.inService()...), "%s: global, but no cluster shares its endpoints; clients of each cluster use only their own%s", all, idle)
	case c.remoteEverywhere() && !c.anyServesItself():
		c.add(finding.Cancelled, names, c.svcFix("affinity none", names...), "%s: affinity is remote in every cluster; clients of each cluster use the other clusters, and no cluster serves its own clients", all)
	}
}

// inService names the clusters that are not drained. The command share refuses the others until undrain.
func (c *checker) inService() []string {
	return placeNames(slices.DeleteFunc(slices.Clone(c.global), func(p place) bool { return drainrecord.OutOfService(p.svc.Annotations, p.name()) }))
}

// sharing counts the clusters that share the Service.
func (c *checker) sharing() int {
	n := 0
	for _, p := range c.global {
		if cilium.Shared(p.svc.Annotations).Value {
			n++
		}
	}
	return n
}

// isSharedNowhere reports whether no cluster shares the Service, and this is not the effect of a drain. Invalid values
// have their own finding. A peer that was not read may share it.
func (c *checker) isSharedNowhere() bool {
	written := false
	for _, p := range c.global {
		written = written || !cilium.Shared(p.svc.Annotations).Junk() && !drainrecord.OutOfService(p.svc.Annotations, p.name())
	}
	return len(c.global) > 1 && c.sharing() == 0 && written && !slices.ContainsFunc(c.global, func(p place) bool { return !c.st.PeersRead(p.cluster) })
}

func (c *checker) remoteEverywhere() bool {
	for _, p := range c.global {
		if p.external() || cilium.AffinityOf(p.svc.Annotations, p.rules[0].Rules).Value != cilium.AffinityRemote {
			return false
		}
	}
	return len(c.global) > 1
}

// anyServesItself reports whether the clients of any cluster may use endpoints of that cluster, or of no cluster. It asks package routing, so that the finding and
// the prediction cannot differ.
func (c *checker) anyServesItself() bool {
	return slices.ContainsFunc(c.global, func(p place) bool {
		frontends := p.svc.Frontends()
		return len(frontends) == 0 || slices.ContainsFunc(frontends, func(fe routing.Frontend) bool {
			outcomes := routing.Decide(&c.st.Snapshot, p.name(), c.key, fe).Outcomes
			return len(outcomes) == 0 || slices.ContainsFunc(outcomes, func(o routing.Outcome) bool {
				return len(o.Backends) == 0 || slices.ContainsFunc(o.Backends, func(b routing.Backend) bool { return b.Cluster == p.name() })
			})
		})
	})
}
