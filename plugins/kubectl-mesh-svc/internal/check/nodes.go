package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
)

// Nodes compares the addresses of nodes and pods over all members that were read.
func Nodes(members []*clusters.Member, around *meshstate.Around) []v1alpha1.Finding {
	var read []*clusters.Member
	for _, m := range members {
		if m.Err == nil {
			read = append(read, m)
		}
	}
	var pods, nodes []ranged
	for n, m := range read {
		for _, node := range around.Nodes[m.Name] {
			for _, p := range node.PodCIDRs {
				pods = append(pods, ranged{n, m.Name, node.Name, p})
			}
			for _, a := range node.Addresses {
				nodes = append(nodes, ranged{n, m.Name, node.Name, netip.PrefixFrom(a, a.BitLen())})
			}
		}
	}
	podPairs := overlaps(pods)
	out := pairFindings(finding.PodCIDR, podPairs, "pod CIDRs of %s and %s overlap: %s and %s", func(r ranged) string { return fmt.Sprintf("%s of node %s", r.prefix, r.node) })
	out = append(out, pairFindings(finding.NodeAddress, overlaps(nodes), "nodes of %s and %s have the same address: %s and %s", func(r ranged) string { return fmt.Sprintf("%s of node %s", r.prefix.Addr(), r.node) })...)
	out = append(out, pools(read, around, podPairs)...)
	out = append(out, nativeCIDRs(read, around)...)
	return out
}

// ranged is a range of addresses of one node.
type ranged struct {
	order         int // of the cluster among the members
	cluster, node string
	prefix        netip.Prefix
}

// pair is two clusters with overlapping ranges: the first overlap, and the number of overlaps.
type pair struct {
	a, b  ranged
	count int
}

// overlaps finds the pairs of clusters with overlapping ranges. Ranges are either nested or disjoint. In sorted order
// a range can therefore be nested only in ranges before it.
func overlaps(all []ranged) []pair {
	slices.SortStableFunc(all, func(a, b ranged) int {
		if c := a.prefix.Addr().Compare(b.prefix.Addr()); c != 0 {
			return c
		}
		return a.prefix.Bits() - b.prefix.Bits()
	})
	found := map[[2]int]*pair{}
	var open []ranged
	for _, r := range all {
		for len(open) > 0 && !open[len(open)-1].prefix.Contains(r.prefix.Addr()) {
			open = open[:len(open)-1]
		}
		for _, o := range open {
			if o.order == r.order {
				continue
			}
			a, b := o, r
			if a.order > b.order {
				a, b = b, a
			}
			key := [2]int{a.order, b.order}
			if found[key] == nil {
				found[key] = &pair{a: a, b: b}
			}
			found[key].count++
		}
		open = append(open, r)
	}
	out := make([]pair, 0, len(found))
	for _, p := range found {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(x, y pair) int {
		if x.a.order != y.a.order {
			return x.a.order - y.a.order
		}
		return x.b.order - y.b.order
	})
	return out
}

// shownPairs is the number of pairs that have their own finding. One more finding counts the rest.
const shownPairs = 5

func pairFindings(r finding.Rule, pairs []pair, format string, show func(ranged) string) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, p := range pairs[:min(len(pairs), shownPairs)] {
		text := fmt.Sprintf(format, p.a.cluster, p.b.cluster, show(p.a), show(p.b))
		if p.count > 1 {
			text += fmt.Sprintf(", and %d more", p.count-1)
		}
		out = append(out, r.New("", []string{p.a.cluster, p.b.cluster}, text, ""))
	}
	if more := pairs[min(len(pairs), shownPairs):]; len(more) > 0 {
		var names []string
		for _, p := range more {
			for _, n := range []string{p.a.cluster, p.b.cluster} {
				if !slices.Contains(names, n) {
					names = append(names, n)
				}
			}
		}
		out = append(out, r.New("", names, fmt.Sprintf("the same applies to %d more pairs of clusters", len(more)), ""))
	}
	return out
}

const ipamClusterPool = "cluster-pool"

// pools finds clusters with overlapping pools whose nodes' ranges do not overlap yet.
func pools(read []*clusters.Member, around *meshstate.Around, already []pair) []v1alpha1.Finding {
	var all []ranged
	for n, m := range read {
		if m.Config.IPAM != ipamClusterPool {
			continue
		}
		for _, p := range cilium.Prefixes(m.Config.Pools) {
			all = append(all, ranged{order: n, cluster: m.Name, prefix: p})
		}
	}
	var names, shown []string
	unread := false
	for _, p := range overlaps(all) {
		if slices.ContainsFunc(already, func(o pair) bool { return o.a.order == p.a.order && o.b.order == p.b.order }) {
			continue
		}
		for _, r := range []ranged{p.a, p.b} {
			if slices.Contains(names, r.cluster) {
				continue
			}
			names = append(names, r.cluster)
			shown = append(shown, fmt.Sprintf("%s in %s", r.prefix, r.cluster))
			_, nodes := around.Nodes[r.cluster]
			unread = unread || !nodes
		}
	}
	if len(names) == 0 {
		return nil
	}
	text := fmt.Sprintf("the pools overlap: %s; the CIDRs of the nodes do not", strings.Join(shown, ", "))
	if unread {
		text = fmt.Sprintf("the pools overlap: %s; the CIDRs of the nodes were not examined", strings.Join(shown, ", "))
	}
	return []v1alpha1.Finding{finding.PodPool.New("", names, text, "")}
}

// nativeCIDRs finds clusters with native routing that masquerade traffic to pods of another cluster.
func nativeCIDRs(read []*clusters.Member, around *meshstate.Around) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, m := range read {
		own := cilium.Prefixes(m.Config.NativeCIDRs)
		if m.Config.RoutingMode != "native" || len(own) == 0 {
			continue
		}
		names, example := []string{m.Name}, ""
		for _, o := range read {
			if o == m {
				continue
			}
			if p, outside := firstOutside(own, around.Nodes[o.Name]); outside {
				names = append(names, o.Name)
				if example == "" {
					example = p.String()
				}
			}
		}
		if len(names) > 1 {
			out = append(out, finding.NativeCIDR.New("", names, fmt.Sprintf("%s: the native routing CIDR %s does not cover pods of %s, such as those in %s",
				m.Name, strings.Join(m.Config.NativeCIDRs, ", "), strings.Join(names[1:], ", "), example), ""))
		}
	}
	return out
}

// firstOutside returns the first pod CIDR that no range of its family holds; a family without a range does not count.
func firstOutside(own []netip.Prefix, nodes []meshstate.Node) (netip.Prefix, bool) {
	for _, n := range nodes {
		for _, p := range n.PodCIDRs {
			family := func(o netip.Prefix) bool { return o.Addr().Is4() == p.Addr().Is4() }
			holds := func(o netip.Prefix) bool { return o.Bits() <= p.Bits() && o.Contains(p.Addr()) }
			if slices.ContainsFunc(own, family) && !slices.ContainsFunc(own, holds) {
				return p, true
			}
		}
	}
	return netip.Prefix{}, false
}
