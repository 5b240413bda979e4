package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Keys of annotations and labels (cilium/cilium pkg/annotation/k8s.go, 1.15 to 1.20).
const (
	keyGlobal        = "service.cilium.io/global"
	keyGlobalAlias   = "io.cilium/global-service"
	keyShared        = "service.cilium.io/shared"
	keySharedAlias   = "io.cilium/shared-service"
	keyAffinity      = "service.cilium.io/affinity"
	keyAffinityAlias = "io.cilium/service-affinity"
	keySync          = "service.cilium.io/global-sync-endpoint-slices"
	keyNamespace     = "clustermesh.cilium.io/global"
	keyProxyName     = "service.kubernetes.io/service-proxy-name"
)

// site is one Service in one cluster.
type site struct {
	annotations, labels map[string]string
	kind                corev1.ServiceType
	headless            bool
	// selector is whether it has one; its endpoints are there in either case.
	selector bool
	ports    []port
	ready    int
	notReady int
	// ipv6 is whether the addresses of its endpoints are.
	ipv6                                          bool
	sessionAffinity, internalLocal, externalLocal bool
}

// port is one port of a Service and of its endpoints.
type port struct {
	name           string
	protocol       corev1.Protocol
	number, target int32
}

// nouns begin the names of Services.
var nouns = []string{"cart", "api", "search", "billing", "auth", "mail", "feed", "stock", "web", "queue"}

// draw is a source of random choices about a mesh.
type draw struct {
	*rand.Rand
	mesh []Cluster
}

func (d *draw) pick(from ...string) string { return from[d.IntN(len(from))] }

// chance is true in n of 100 cases.
func (d *draw) chance(n int) bool { return d.IntN(100) < n }

func names(clusters []Cluster) []string {
	out := make([]string, len(clusters))
	for i, c := range clusters {
		out[i] = c.Name
	}
	return out
}

// where returns the clusters for which a condition holds.
func where(mesh []Cluster, holds func(Cluster) bool) []Cluster {
	var out []Cluster
	for _, c := range mesh {
		if holds(c) {
			out = append(out, c)
		}
	}
	return out
}

// some draws from 1 to at most limit of the clusters.
func (d *draw) some(clusters []Cluster, limit int) []string {
	all := names(clusters)
	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	out := all[:1+d.IntN(min(limit, len(all)))]
	slices.Sort(out)
	return out
}

// shape are the ports of a Service, the same in every cluster but for their numbers.
func (d *draw) shape() []port {
	http := port{"http", corev1.ProtocolTCP, 80, 8080}
	switch d.IntN(5) {
	case 0:
		http.name = ""
		return []port{http}
	case 1:
		return []port{http, {"metrics", corev1.ProtocolTCP, 9100, 9100}}
	case 2:
		return []port{{"dns", corev1.ProtocolUDP, 53, 5353}, {"dns-tcp", corev1.ProtocolTCP, 53, 5353}}
	case 3:
		return []port{{"grpc", corev1.ProtocolTCP, 9090, 9090}, http, {"admin", corev1.ProtocolTCP, 15000, 15000}}
	}
	return []port{http}
}

// global draws a healthy Service that is global in every cluster, with one of the possible spellings.
// Services with faults are made of these too.
func (d *draw) global(namespace, name string) *service {
	s := &service{namespace: namespace, name: name, sites: map[string]*site{}}
	ports := d.shape()
	affinity := d.pick("", "", "", "local", "remote", "Local")
	// Remote in every cluster would be a fault: no cluster serves its own clients.
	far := d.pick(names(d.mesh)...)
	selector := d.chance(50)
	for _, c := range d.mesh {
		at := &site{
			annotations: map[string]string{keyGlobal: d.pick("true", "true", "true", "True", "TRUE")},
			labels:      map[string]string{"app": name},
			kind:        corev1.ServiceTypeClusterIP,
			selector:    selector,
			ports:       slices.Clone(ports),
			ready:       1 + d.IntN(3),
		}
		// Absent and true mean the same for a global Service.
		if d.chance(15) {
			at.annotations[keyShared] = d.pick("true", "TRUE")
		}
		if affinity != "" && (affinity != "remote" || c.Name == far) {
			at.annotations[keyAffinity] = affinity
		}
		// Numbers need not match, neither those of the Service nor those of its endpoints.
		if d.chance(20) {
			at.ports[0].number += 8000
		}
		if d.chance(20) {
			at.ports[0].target += 1000
		}
		// Not ready next to ready is not a fault.
		if d.chance(10) {
			at.notReady = 1
		}
		s.sites[c.Name] = at
	}
	return s
}

// healthy draws a Service in which nothing is wrong, though it may look so at a glance.
func (d *draw) healthy(namespace, name string) *service {
	s := d.global(namespace, name)
	one := s.sites[d.mesh[d.IntN(len(d.mesh))].Name]
	switch d.IntN(13) {
	case 0: // global nowhere, in some clusters only, each as it likes
		for _, c := range d.some(d.mesh, len(d.mesh)-1) {
			delete(s.sites, c)
		}
		for _, at := range s.sites {
			at.annotations = map[string]string{}
		}
		for _, c := range slices.Sorted(maps.Keys(s.sites)) {
			at := s.sites[c]
			at.sessionAffinity, at.internalLocal = d.chance(30), d.chance(30)
			if d.chance(30) {
				at.ports = []port{{"other", corev1.ProtocolUDP, 99, 99}}
			}
			if d.chance(30) {
				at.annotations[keyGlobal] = d.pick("false", "False")
			}
		}
	case 1: // clients only: without a selector the Service is there for its name
		one.selector, one.ready, one.notReady = false, 0, 0
	case 2: // from 1.18 an unnamed port matches any name; up to 1.17 it does not
		if len(one.ports) == 1 && len(where(d.mesh, strictPorts)) == 0 {
			one.ports[0].name = ""
		}
	case 3: // an empty affinity is none in every version
		for _, c := range d.mesh {
			s.sites[c.Name].annotations[keyAffinity] = ""
		}
	case 4: // and so is the word, where the fix is in
		for _, at := range s.sites {
			delete(at.annotations, keyAffinity)
		}
		for _, c := range where(d.mesh, func(c Cluster) bool { return !dropsUnknownAffinity(c) }) {
			s.sites[c.Name].annotations[keyAffinity] = d.pick("none", "None")
		}
	case 5: // node ports are well where Cilium serves them
		if len(where(d.mesh, noKPR)) == 0 {
			for _, at := range s.sites {
				at.kind = corev1.ServiceTypeNodePort
			}
		}
	case 6: // not headless, so nothing is asked for
		one.annotations[keySync] = "false"
	case 7: // headless, and the pods of the other clusters are not wanted, or mirrored
		for _, c := range d.mesh {
			at := s.sites[c.Name]
			at.headless = true
			delete(at.annotations, keyAffinity)
			if noSync(c) || d.chance(30) {
				at.annotations[keySync] = "false"
			}
		}
	case 8: // asked for where it is there
		for _, c := range d.mesh {
			if !noSync(c) {
				s.sites[c.Name].annotations[keySync] = d.pick("true", "True")
			}
		}
	}
	return s
}

// The rules in which Cilium's versions differ.

// dropsUnknownAffinity: none and unknown words drop all remote backends (cilium issue 46623): 1.18, and 1.19 up to 1.19.5.
func dropsUnknownAffinity(c Cluster) bool { return c.Minor == 18 || c.Minor == 19 && c.Patch <= 5 }

// strictPorts: up to 1.17 a named port and one without a name do not match (genCartesianProduct).
func strictPorts(c Cluster) bool { return c.Minor <= 17 }

// gatesNamespaces: from 1.20 Services of namespaces that are not global are not exported.
func gatesNamespaces(c Cluster) bool { return c.Minor >= 20 }

// losesTargetPorts: one port name for each remote address and target port (cilium issue 45109); fixed in 1.18.10 and 1.19.4.
func losesTargetPorts(c Cluster) bool {
	return c.Minor == 18 && c.Patch < 10 || c.Minor == 19 && c.Patch < 4
}

func noKPR(c Cluster) bool { return !c.KubeProxyReplacement }

func noSync(c Cluster) bool { return !c.EndpointSliceSync }

func localPolicies(c Cluster) bool { return c.LocalPolicies }

func quoted(annotation, value string) string { return fmt.Sprintf("%s: %q", annotation, value) }
