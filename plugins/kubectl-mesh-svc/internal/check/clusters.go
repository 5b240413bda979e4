package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/finding"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Clusters checks the members themselves. Members that could not be read are left out; the document lists them.
func Clusters(members []*clusters.Member) []v1alpha1.Finding {
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
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		switch ms := byID[id]; {
		case id == 0:
			add(finding.ClusterID, ms, "%s: cluster-id is 0", strings.Join(memberNames(ms), ", "))
		case len(ms) > 1:
			add(finding.ClusterID, ms, "%s have the same cluster-id %d", strings.Join(memberNames(ms), ", "), id)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		switch ms := byName[name]; {
		case len(ms) > 1:
			add(finding.ClusterName, ms, "%s have the same cluster-name %q", strings.Join(memberNames(ms), ", "), name)
		case cilium.Unnamed(name) && ms[0].Config.ClusterID == 0: // with an id, its agents reject the name: see byThemselves
			add(finding.ClusterName, ms, "%s: cluster-name is %s, the name of a cluster without a configured name", ms[0].Context, name)
		}
	}
	if len(byMax) > 1 {
		var parts []string
		for _, n := range slices.Sorted(maps.Keys(byMax)) {
			parts = append(parts, fmt.Sprintf("%d in %s", n, strings.Join(memberNames(byMax[n]), ", ")))
		}
		add(finding.MaxClusters, read, "max-connected-clusters is %s", strings.Join(parts, ", "))
	}
	out = append(out, skew(read)...)
	out = append(out, oneSided(read)...)
	out = append(out, skippedPeers(read)...)
	out = append(out, unlike(read)...)
	out = append(out, byThemselves(read)...)
	finding.Sort(out)
	return out
}

// unlike finds settings that must be, or should be, equal in all clusters of a mesh.
func unlike(read []*clusters.Member) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	differ := func(r finding.Rule, setting string, ms []*clusters.Member, value func(*clusters.Member) string) {
		by := group(ms, value)
		if len(by) < 2 {
			return
		}
		var parts []string
		for _, v := range slices.Sorted(maps.Keys(by)) {
			parts = append(parts, fmt.Sprintf("%s in %s", v, strings.Join(memberNames(by[v]), ", ")))
		}
		out = append(out, r.New("", memberNames(ms), fmt.Sprintf("%s is %s", setting, strings.Join(parts, "; ")), ""))
	}
	differ(finding.Datapath, "the datapath mode", read, func(m *clusters.Member) string { return m.Config.Mode() })
	var known []*clusters.Member
	for _, m := range read {
		if _, certain := cilium.PolicyDefaultLocal(m.Config, m.Version); certain {
			known = append(known, m)
		}
	}
	differ(finding.PolicyDefault, "policy-default-local-cluster", known, func(m *clusters.Member) string {
		local, _ := cilium.PolicyDefaultLocal(m.Config, m.Version)
		return strconv.FormatBool(local)
	})
	return out
}

// byThemselves finds settings that a cluster's own agents reject.
func byThemselves(read []*clusters.Member) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	add := func(r finding.Rule, m *clusters.Member, format string, args ...any) {
		out = append(out, r.New("", []string{m.Name}, m.Name+": "+fmt.Sprintf(format, args...), ""))
	}
	for _, m := range read {
		if problem, refused := cilium.NameProblem(m.Config.ClusterName, m.Config.ClusterID, m.Version); problem != "" {
			rule, effect := finding.NameRule, ""
			switch {
			case m.Version.Known() && !refused:
				rule.Severity, effect = finding.Warning, "; Cilium "+m.Version.String()+" only logs an error, but later versions do not start"
			case !refused:
				rule.Severity, effect = finding.Warning, "; Cilium (version unknown) does not start with it from 1.17 on"
			}
			add(rule, m, "cluster-name %q is not valid: %s%s", m.Config.ClusterName, problem, effect)
		}
		if problem, refused := cilium.IDProblem(m.Config); problem != "" {
			rule, effect := finding.IDRule, ""
			if !refused {
				rule.Severity, effect = finding.Warning, "; the agents start because of allow-unsafe-policy-skb-usage, but policies may drop traffic that they allow"
			}
			add(rule, m, "cluster-id %d: %s%s", m.Config.ClusterID, problem, effect)
		}
		if n := m.Config.MaxConnectedClusters; !cilium.ValidMaxClusters(n) {
			add(finding.MaxRule, m, "max-connected-clusters is %d", n)
		}
	}
	return out
}

// Hosts finds clusters with global Services in which clients in the host's network namespace use only local endpoints.
func Hosts(st *meshstate.State, members []*clusters.Member, keys []routing.Key) []v1alpha1.Finding {
	byName := membersByName(members)
	var local []string
	for i := range st.Clusters {
		c := &st.Clusters[i]
		m := byName[c.Name]
		if m == nil || m.Err != nil || m.Config.KubeProxyReplacement || m.Config.HostSocketLB {
			continue
		}
		mirrored := func(k routing.Key) bool { // kube-proxy gives these clients remote endpoints
			svc := c.Services[k]
			return svc != nil && c.Mirrors(svc) && !svc.InternalLocal
		}
		if anyGlobal(c, slices.DeleteFunc(slices.Clone(keys), mirrored)) {
			local = append(local, c.Name)
		}
	}
	if len(local) == 0 {
		return nil
	}
	return []v1alpha1.Finding{finding.HostsLocal.New("", local, fmt.Sprintf("%s: without kubeProxyReplacement or socketLB.enabled, hosts and hostNetwork pods use only local endpoints, except of Services with EndpointSlice synchronization", strings.Join(local, ", ")), "")}
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
				fix, from, to := "", o.Origin().At(), m.Origin().At()
				if slices.Equal(from.Kubeconfig, to.Kubeconfig) { // it reads one kubeconfig
					fix = commandline.Tool("cilium", from, o.CiliumNamespace, "clustermesh", "connect", "--destination-context", to.Name)
				}
				f := finding.OneSided.New("", []string{m.Name, o.Name},
					fmt.Sprintf("%s is configured to connect to %s, but not the other way round", m.Name, o.Name), fix)
				if why := skippedEntry(o, m.Name); why != "" {
					f.Message, f.Fix, f.Advice = f.Message+": Cilium in "+o.Name+" "+why, "", finding.SkippedPeer.Advice
				}
				out = append(out, f)
			}
		}
	}
	return out
}

// skippedEntry says why Cilium skips a member's entry for a peer; "" if it does not skip one.
func skippedEntry(m *clusters.Member, peer string) string {
	for _, s := range m.SkippedPeers {
		if s.Peer() == peer || s.Entry == peer {
			return skips(m, s)
		}
	}
	return ""
}

func skips(m *clusters.Member, s cilium.SkippedPeer) string {
	return fmt.Sprintf("skips entry %q of Secret %s/%s, because %s", s.Entry, m.CiliumNamespace, cilium.SecretClusterMesh, s.Reason)
}

// skippedPeers finds the entries that look like peers and that Cilium skips silently.
func skippedPeers(read []*clusters.Member) []v1alpha1.Finding {
	var out []v1alpha1.Finding
	for _, m := range read {
		for _, s := range m.SkippedPeers {
			out = append(out, finding.SkippedPeer.New("", []string{m.Name}, fmt.Sprintf("%s: Cilium %s", m.Name, skips(m, s)), ""))
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

func memberNames(ms []*clusters.Member) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = m.Name
	}
	return out
}
