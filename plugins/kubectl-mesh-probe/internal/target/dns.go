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

// Resolver is how names are looked up in a client pod, by its /etc/resolv.conf.
type Resolver struct {
	Search []string
	NDots  int
}

// defaultZone is the DNS zone of a cluster's Services unless the kubelet is told otherwise.
const defaultZone = "cluster.local"

// ClusterFirst is the resolver that a kubelet gives a pod of a namespace by default.
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

// Zone is the DNS zone of the pod's own cluster, "" if the search path does not tell.
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

// Meaning is what a host name stands for in a client pod.
type Meaning struct {
	// Service is the Service, or the ServiceImport of that name if Import says so; empty if it is neither.
	Service routing.Key
	Import  bool
	// Why says why it is neither.
	Why string
}

// SpellsZone reports whether a host name spells out a DNS zone, so that its meaning depends on the zone of the pod's cluster.
func SpellsZone(host string) bool {
	_, _, ok := serviceName(strings.ToLower(strings.TrimSuffix(host, ".")))
	return ok
}

// Meaning says which Service a host name means, in the order in which a resolver tries names. What is not the name of a Service of the pod's
// own cluster is none: a Service of the same name in another zone is another one.
func (r Resolver) Meaning(host string) Meaning {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return Meaning{Why: "the URL names an address"}
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
		return Meaning{Why: fmt.Sprintf("%s is in DNS zone %s, and the search path in the client pod does not tell its own", name, zone)}
	case ok:
		return Meaning{Why: fmt.Sprintf("%s is in DNS zone %s, and that of the client pod is %s", name, zone, r.Zone())}
	case r.Zone() == "":
		return Meaning{Why: "the search path in the client pod has no names of Services"}
	}
	return Meaning{Why: "the URL does not name a Service of the mesh"}
}

// candidates are the names that a resolver asks for, in its order.
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
	// What cannot be the name of a Service is somebody else's.
	if len(validation.IsDNS1123Label(labels[0])) > 0 || len(validation.IsDNS1123Label(labels[1])) > 0 {
		return routing.Key{}, "", false
	}
	return routing.Key{Namespace: labels[1], Name: labels[0]}, labels[3], true
}
