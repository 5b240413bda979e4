package globalsvc

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
)

// CheckClusters looks for what is wrong with the members themselves. Those that could not be read are left out: the document says so.
func CheckClusters(members []*clusters.Member) []v1alpha1.Finding {
	var read []*clusters.Member
	for _, m := range members {
		if m.Err == nil {
			read = append(read, m)
		}
	}
	var out []v1alpha1.Finding
	add := func(r finding.Rule, ms []*clusters.Member, format string, args ...any) {
		out = append(out, r.New("", memberNames(ms), fmt.Sprintf(format, args...), ""))
	}
	byID, byName, byMax := group(read, func(m *clusters.Member) uint32 { return m.Config.ClusterID }),
		group(read, func(m *clusters.Member) string { return m.Config.ClusterName }),
		group(read, func(m *clusters.Member) int { return m.Config.MaxConnectedClusters })
	for _, id := range sortedKeys(byID) {
		switch ms := byID[id]; {
		case id == 0:
			add(finding.ClusterID, ms, "%s: cluster-id is 0", strings.Join(memberNames(ms), ", "))
		case len(ms) > 1:
			add(finding.ClusterID, ms, "%s have the same cluster-id %d", strings.Join(memberNames(ms), ", "), id)
		}
	}
	for _, name := range sortedKeys(byName) {
		switch ms := byName[name]; {
		case len(ms) > 1:
			add(finding.ClusterName, ms, "%s have the same cluster-name %q", strings.Join(memberNames(ms), ", "), name)
		case name == "default":
			add(finding.ClusterName, ms, "%s: cluster-name is not set", ms[0].Context)
		}
	}
	if len(byMax) > 1 {
		var parts []string
		for _, n := range sortedKeys(byMax) {
			parts = append(parts, fmt.Sprintf("%d in %s", n, strings.Join(memberNames(byMax[n]), ", ")))
		}
		add(finding.MaxClusters, read, "max-connected-clusters is %s", strings.Join(parts, ", "))
	}
	out = append(out, skew(read)...)
	out = append(out, oneSided(read)...)
	finding.Sort(out)
	return out
}

// skew finds members that are more than one minor version apart.
func skew(read []*clusters.Member) []v1alpha1.Finding {
	var oldest, newest *clusters.Member
	for _, m := range read {
		if !m.Version.Known() {
			continue
		}
		if oldest == nil || m.Version.Minor < oldest.Version.Minor {
			oldest = m
		}
		if newest == nil || m.Version.Minor > newest.Version.Minor {
			newest = m
		}
	}
	if oldest == nil || newest.Version.Minor-oldest.Version.Minor <= 1 {
		return nil
	}
	return []v1alpha1.Finding{finding.VersionSkew.New("", []string{oldest.Name, newest.Name},
		fmt.Sprintf("%s has %s, %s has %s", oldest.Name, oldest.Version, newest.Name, newest.Version), "")}
}

// oneSided finds peers that do not peer back.
func oneSided(read []*clusters.Member) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	peers := make(map[*clusters.Member]map[string]bool, len(read))
	for _, m := range read {
		peers[m] = make(map[string]bool, len(m.Peers))
		for _, p := range m.Peers {
			peers[m][p] = true
		}
	}
	for _, m := range read {
		for _, o := range read {
			if m != o && m.PeersKnown && o.PeersKnown && peers[m][o.Name] && !peers[o][m.Name] {
				out = append(out, finding.OneSided.New("", []string{m.Name, o.Name},
					fmt.Sprintf("%s is configured to connect to %s, but not the other way round", m.Name, o.Name),
					fmt.Sprintf("cilium clustermesh connect --context %s --destination-context %s", clusters.Quote(o.Context), clusters.Quote(m.Context))))
			}
		}
	}
	return out
}

func group[K comparable](ms []*clusters.Member, key func(*clusters.Member) K) map[K][]*clusters.Member {
	out := map[K][]*clusters.Member{}
	for _, m := range ms {
		out[key(m)] = append(out[key(m)], m)
	}
	return out
}

func sortedKeys[K interface{ ~int | ~uint32 | ~string }, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func memberNames(ms []*clusters.Member) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.Name
	}
	return out
}
