// Package target finds out which Service a host name or an address refers to in a client pod.
//
// It is pure: resolv.conf and the Services come in as values.
package target

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
)

// Resolver is how a client pod looks up names, as its /etc/resolv.conf defines.
type Resolver struct {
	Search []string
	NDots  int
}

// defaultZone is the default DNS zone of a cluster's Services.
const defaultZone = "cluster.local"

// ClusterFirst is the default resolver of pods in a namespace.
func ClusterFirst(namespace string) Resolver {
	return Resolver{Search: []string{namespace + ".svc." + defaultZone, "svc." + defaultZone, defaultZone}, NDots: 5}
}

// ParseResolvConf reads a resolv.conf. Source: resolv.conf(5); the last search line counts.
func ParseResolvConf(text string) Resolver {
	r := Resolver{NDots: 1}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "search", "domain":
			r.Search = nil
			for _, w := range words[1:] {
				r.Search = append(r.Search, strings.ToLower(strings.TrimSuffix(w, ".")))
			}
		case "options":
			for _, w := range words[1:] {
				if n, err := strconv.Atoi(strings.TrimPrefix(w, "ndots:")); err == nil && strings.HasPrefix(w, "ndots:") {
					r.NDots = min(15, max(0, n))
				}
			}
		}
	}
	return r
}

// Zone is the DNS zone of the pod's own cluster. It is "" if the search path does not contain it.
func (r Resolver) Zone() string {
	for _, s := range r.Search {
		if zone, ok := strings.CutPrefix(s, "svc."); ok {
			return zone
		}
		if _, rest, ok := strings.Cut(s, "."); ok {
			if zone, ok := strings.CutPrefix(rest, "svc."); ok {
				return zone
			}
		}
	}
	return ""
}

// Meaning is what a host name refers to in a client pod.
type Meaning struct {
	// Service is a Service, or a ServiceImport if Import is true. It is empty if the host name refers to neither.
	Service routing.Key
	Import  bool
	// Why is the reason if it refers to neither.
	Why string
}

// SpellsZone reports whether a host name contains a DNS zone. Then its meaning depends on the zone of the pod's cluster.
func SpellsZone(host string) bool {
	_, _, ok := serviceName(strings.ToLower(strings.TrimSuffix(host, ".")))
	return ok
}

// Meaning returns what a host name refers to. It tries names in the order of a resolver. Only names in the zone of the pod's own cluster are
// Services of the mesh: a Service with the same name in another zone is a different one.
func (r Resolver) Meaning(host string) Meaning {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return Meaning{Why: "the host in the URL is an address, not a name"}
	}
	for _, candidate := range r.candidates(name, strings.HasSuffix(host, ".")) {
		key, zone, ok := serviceName(candidate)
		switch {
		case !ok:
		case zone == r.Zone():
			return Meaning{Service: key}
		case zone == cilium.ClusterSetZone:
			return Meaning{Service: key, Import: true}
		}
	}
	switch _, zone, ok := serviceName(name); {
	case ok && r.Zone() == "":
		return Meaning{Why: fmt.Sprintf("%s is in DNS zone %s, and the search path of the client pod does not contain its own zone", name, zone)}
	case ok:
		return Meaning{Why: fmt.Sprintf("%s is in DNS zone %s, but the client pod is in DNS zone %s", name, zone, r.Zone())}
	case r.Zone() == "":
		return Meaning{Why: "the search path of the client pod does not lead to Services"}
	}
	return Meaning{Why: "the host in the URL is not a Service of the mesh"}
}

// candidates are the names that a resolver looks up, in its order.
func (r Resolver) candidates(name string, absolute bool) []string {
	if absolute {
		return []string{name}
	}
	var searched []string
	for _, s := range r.Search {
		searched = append(searched, name+"."+s)
	}
	if strings.Count(name, ".") >= r.NDots {
		return append([]string{name}, searched...)
	}
	return append(searched, name)
}

// serviceName reads NAME.NAMESPACE.svc.ZONE.
func serviceName(name string) (key routing.Key, zone string, ok bool) {
	labels := strings.SplitN(name, ".", 4)
	if len(labels) < 4 || labels[2] != "svc" || labels[3] == "" {
		return routing.Key{}, "", false
	}
	// A name that is not valid for a Service belongs to something else.
	if len(validation.IsDNS1123Label(labels[0])) > 0 || len(validation.IsDNS1123Label(labels[1])) > 0 {
		return routing.Key{}, "", false
	}
	return routing.Key{Namespace: labels[1], Name: labels[0]}, labels[3], true
}
