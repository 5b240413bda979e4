package cilium

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Version is a Cilium version as far as an image tag tells it. The zero value is unknown.
type Version struct {
	Major, Minor, Patch int
	Pre                 string // pre-release part, such as "rc.1"
}

var versionPattern = regexp.MustCompile(`^v?([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(?:-([0-9A-Za-z.-]+))?(?:\+.*)?$`)

// Known reports whether the version could be read.
func (v Version) Known() bool { return v.Major != 0 }

// String returns the version without a leading v, or "unknown".
func (v Version) String() string {
	if !v.Known() {
		return "unknown"
	}
	s := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	return s
}

// ParseVersion reads "v1.18.11" or "1.18.11". Anything else is unknown.
func ParseVersion(s string) Version {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}
	}
	num := func(s string) int { n, _ := strconv.Atoi(s); return n }
	return Version{Major: num(m[1]), Minor: num(m[2]), Patch: num(m[3]), Pre: m[4]}
}

// VersionFromImage reads the version out of an image reference such as
// quay.io/cilium/cilium:v1.18.11@sha256:.... Digest-only references and tags that
// are not versions yield the unknown version.
func VersionFromImage(image string) Version {
	ref, _, _ := strings.Cut(image, "@")
	slash := strings.LastIndex(ref, "/")
	colon := strings.LastIndex(ref, ":")
	if colon <= slash {
		return Version{}
	}
	return ParseVersion(ref[colon+1:])
}

// Judged reports whether the version is within the range whose rules are known: 1.15 to 1.20.
func (v Version) Judged() bool { return v.Major == 1 && v.Minor >= 15 && v.Minor <= 20 }

// Rules are the behaviours in which Cilium versions differ. Two versions with
// equal Rules treat every Service in the same way, as far as we know.
type Rules struct {
	// UnknownAffinityDropsRemote: an affinity of "none" or of an unknown word
	// drops all remote backends, even when no local one is left.
	// 1.18 and 1.19.0 to 1.19.5; not 1.17 and older, not 1.19.6 and newer.
	// Source: cilium issue 46623, fix 46635 (change log of 1.19.6); run against Cilium's own code for 1.16.19, 1.18.11,
	// 1.19.5, 1.19.7 and 1.20.2, read in pkg/annotation/clustermesh.go of 1.19.6.
	UnknownAffinityDropsRemote bool
	// LosesSharedTargetPorts: of the names of a remote endpoint's ports that share protocol and number only one is
	// kept, and which one is chance. The frontends of the others lose the backend.
	// 1.18.0 to 1.18.9 and 1.19.0 to 1.19.3; not 1.17 and older, whose service cache looks ports up by name.
	// Source: cilium issue 45109, fix 45179 (change logs of 1.18.10 and 1.19.4), ClusterServiceToBackendParams in
	// pkg/clustermesh/service_merger.go of 1.19.3 (read); 1.20.2 keeps all names (run), and so do 1.18.11 and 1.19.5 (read).
	LosesSharedTargetPorts bool
	// StrictPortNames: a backend serves a frontend only under exactly the same
	// port name, so that a named and an unnamed port do not match.
	// Up to 1.17 (strict look-up in the service cache). From 1.18 an unnamed side
	// matches anything (pkg/loadbalancer/writer matchesFrontend).
	StrictPortNames bool
	// ServiceCache: agents and exporters work with the service cache that 1.18 did away with.
	//   - An address that two clusters claim is taken once whatever the ports are; from 1.18 each address and port is.
	//   - An endpoint without condition serving serves if it is ready; one that is not ready, serves and is not terminating is active.
	//   - clustermesh-apiserver does not know the option enable-k8s-terminating-endpoint, on in the agents: it exports ready endpoints only.
	// Up to 1.17. Source: pkg/k8s/service_cache.go correlateEndpoints, pkg/k8s/endpoints.go ParseEndpointSliceV1,
	// clustermesh-apiserver/clustermesh/root.go and daemon/cmd/daemon_main.go (1.16.19 and 1.17.16, read).
	ServiceCache bool
	// NamespaceGate: Services are exported only from namespaces that are global.
	// From 1.20 (clustermesh-apiserver service_sync; 1.19.5 gates identities and endpoints, not Services).
	NamespaceGate bool
	// SliceWeights: the annotation of an EndpointSlice weighs its endpoints; see SliceWeight.
	// From 1.20 (cilium pull request 46061); 1.16.19, 1.18.11 and 1.19.7 do not know it (read).
	SliceWeights bool
}

// RuleSet is one set of rules, and the versions to which it applies.
type RuleSet struct {
	Rules
	Versions string
}

// RulesFor returns the rules of a version: one set if the version
// is known, otherwise one set for each range of supported versions, the newest first.
// Versions newer than 1.20 are treated as 1.20, older than 1.15 as 1.15.
func RulesFor(v Version) []RuleSet {
	var (
		strict = RuleSet{Rules{StrictPortNames: true, ServiceCache: true}, "1.15 to 1.17"}
		losing = RuleSet{Rules{UnknownAffinityDropsRemote: true, LosesSharedTargetPorts: true}, "1.18.0 to 1.18.9, 1.19.0 to 1.19.3"}
		junk   = RuleSet{Rules{UnknownAffinityDropsRemote: true}, "1.18.10 and later 1.18, 1.19.4, 1.19.5"}
		fixed  = RuleSet{Rules{}, "1.19.6 and later 1.19"}
		gated  = RuleSet{Rules{NamespaceGate: true, SliceWeights: true}, "1.20"}
	)
	switch {
	case !v.Known():
		return []RuleSet{gated, fixed, junk, losing, strict}
	case v.Major == 1 && v.Minor <= 17:
		return []RuleSet{strict}
	case v.Major == 1 && (v.Minor == 18 && v.Patch <= 9 || v.Minor == 19 && v.Patch <= 3):
		return []RuleSet{losing}
	case v.Major == 1 && (v.Minor == 18 || v.Minor == 19 && v.Patch <= 5):
		return []RuleSet{junk}
	case v.Major == 1 && v.Minor == 19:
		return []RuleSet{fixed}
	default:
		return []RuleSet{gated}
	}
}
