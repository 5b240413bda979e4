package cilium

import (
	"cmp"
	"net/netip"
	"regexp"
	"strings"
)

// Datapath holds how a cluster assigns addresses to pods and routes packets, according to ConfigMap cilium-config.
// Source: the Helm charts 1.16 to 1.20 (templates/cilium-configmap.yaml) and the agent's defaults.
type Datapath struct {
	RoutingMode    string // tunnel or native
	TunnelProtocol string // vxlan or geneve; it is also set with native routing, where it has no effect
	TunnelPort     string
	IPAM           string // cluster-pool, kubernetes, multi-pool, eni, azure, alibabacloud ...
	Chaining       string // cni-chaining-mode; none when not set
	// Pools are the cluster-pool-ipv4-cidr and cluster-pool-ipv6-cidr, which count with IPAM cluster-pool only.
	Pools []string
	// NativeCIDRs are the ranges that native routing does not masquerade, one for a family.
	NativeCIDRs []string
	// HostSocketLB: clients in the host's network namespace are balanced by Cilium without kube-proxy replacement. bpf-lb-sock decides: bpf-lb-sock-hostns-only
	// takes out the clients in pods, and has no effect on those of the host.
	// Source: pkg/datapath/linux/config/config.go and __sock4_xlate_fwd in bpf/bpf_sock.c (1.16.19, 1.18.11 and 1.20.2, read).
	HostSocketLB bool
	// UnsafePolicyMarks is allow-unsafe-policy-skb-usage: agents start with a cluster-id that meets other uses of the packet mark.
	UnsafePolicyMarks bool
	// PolicyEnforcement is default, always or never.
	PolicyEnforcement string
}

func parseDatapath(data map[string]string, flag func(string, bool) bool) Datapath {
	d := Datapath{
		RoutingMode:       cmp.Or(data["routing-mode"], "tunnel"),
		TunnelProtocol:    cmp.Or(data["tunnel-protocol"], "vxlan"),
		TunnelPort:        data["tunnel-port"],
		IPAM:              cmp.Or(data["ipam"], "cluster-pool"),
		Chaining:          cmp.Or(data["cni-chaining-mode"], "none"),
		HostSocketLB:      flag("bpf-lb-sock", false),
		UnsafePolicyMarks: flag("allow-unsafe-policy-skb-usage", false),
		PolicyEnforcement: cmp.Or(data["enable-policy"], "default"),
	}
	if d.TunnelPort == "" || d.TunnelPort == "0" {
		d.TunnelPort = map[string]string{"vxlan": "8472", "geneve": "6081"}[d.TunnelProtocol]
	}
	for _, key := range []string{"cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr"} {
		d.Pools = append(d.Pools, strings.Fields(data[key])...)
	}
	for _, key := range []string{"ipv4-native-routing-cidr", "ipv6-native-routing-cidr"} {
		d.NativeCIDRs = append(d.NativeCIDRs, strings.Fields(data[key])...)
	}
	return d
}

// Mode describes how packets travel between nodes. It must be the same in all clusters of a mesh.
func (d Datapath) Mode() string {
	if d.RoutingMode == "tunnel" {
		return "tunnel (" + d.TunnelProtocol + ", port " + d.TunnelPort + ")"
	}
	return d.RoutingMode
}

// Prefixes parses CIDRs and drops invalid ones.
func Prefixes(cidrs []string) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range cidrs {
		if p, err := netip.ParsePrefix(strings.TrimSpace(c)); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// PolicyDefaultLocal returns whether a policy's peer that names no cluster means pods of the policy's own cluster, and
// whether that is certain. Where the ConfigMap does not say, the agent's default decides: false in 1.18, true from 1.19;
// up to 1.17 there is no such setting.
// Source: pkg/clustermesh/types/option.go (1.18.11, 1.19.7 and 1.20.2, read).
func PolicyDefaultLocal(c Config, v Version) (value, certain bool) {
	switch {
	case v.Known() && v.Major == 1 && v.Minor <= 17:
		return false, true
	case c.PolicyDefaultLocalCluster != nil:
		return *c.PolicyDefaultLocalCluster, true
	case !v.Known():
		return true, false
	}
	return v.Major > 1 || v.Minor >= 19, true
}

const maxClusterName = 32

var clusterName = regexp.MustCompile(`^([a-z0-9][-a-z0-9]*)?[a-z0-9]$`)

// NameProblem says why a cluster's name is not valid, "" if it is, and whether this version's agents reject it.
// Agents reject "default", the name of a cluster without a configured name, if the cluster has an id.
// Source: pkg/clustermesh/types ValidateClusterName and validateName (1.16.19, 1.18.11, 1.19.5 and 1.20.2, read); 1.15 and 1.16 log
// an error only where the rule for the letters is broken.
func NameProblem(name string, id uint32, v Version) (problem string, refused bool) {
	refused = v.Known() && (v.Major > 1 || v.Minor >= 17)
	switch {
	case len(name) > maxClusterName:
		return "it is longer than 32 characters", refused
	case !clusterName.MatchString(name):
		return "it may contain only lower case letters, digits and hyphens, and must not begin or end with a hyphen", refused
	case name == defaultClusterName && id != 0:
		return "it is the name of a cluster without a configured name, and agents reject it if cluster-id is set", true
	}
	return "", false
}

// Unnamed reports whether a cluster has no configured name.
func Unnamed(name string) bool { return name == defaultClusterName }

// ValidMaxClusters reports whether agents start with this max-connected-clusters.
// Source: InitClusterIDMax in pkg/clustermesh/types/types.go (1.16.19 and 1.20.2, read).
func ValidMaxClusters(n int) bool { return n == defaultMaxClusters || n == extendedMaxClusters }

// IDProblem says why a cluster's id is not valid, "" if it is, and whether its own agents reject it. It does not check for
// the id 0 and for distinct ids.
// Source: pkg/clustermesh/types Validate and ValidateBuggyClusterID, pkg/clustermesh/cell.go (1.16.19 to 1.20.2, read).
func IDProblem(c Config) (problem string, refused bool) {
	const clashing = 0x80 // the bit of the id that meets other uses of the packet mark: 128 to 255 and 384 to 511
	switch {
	case int64(c.ClusterID) > int64(c.MaxConnectedClusters):
		return "it is above max-connected-clusters", true
	case c.ClusterID&clashing == 0:
		return "", false
	case c.IPAM == "eni" || c.IPAM == "alibabacloud":
		return "ids from 128 to 255 and from 384 to 511 cannot be used with IPAM " + c.IPAM, !c.UnsafePolicyMarks
	case c.Chaining == "aws-cni":
		return "ids from 128 to 255 and from 384 to 511 cannot be used with CNI chaining aws-cni", !c.UnsafePolicyMarks
	}
	return "", false
}
