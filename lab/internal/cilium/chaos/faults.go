package chaos

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

type kind struct {
	name string
	// possible says whether the mesh can have it; nil means always.
	possible func(mesh []Cluster) bool
	// ownNamespace is for what a namespace has: all Services in it are hit.
	ownNamespace bool
	seed         func(s *seeding)
}

// seeding is one fault in the making: a Service that is well, to be spoilt.
type seeding struct {
	*draw
	svc *service
	// svcs are all Services of the namespace, for a fault of that.
	svcs  []*service
	ns    *namespace
	fault *Fault
}

// did notes what was done, and where.
func (s *seeding) did(clusters []string, format string, args ...any) {
	s.fault.Clusters = slices.Clone(clusters)
	s.fault.Detail = fmt.Sprintf(format, args...)
}

// expect notes a finding about the Service.
func (s *seeding) expect(id string, clusters ...string) {
	s.expectOn(s.svc.object(), id, clusters...)
}

func (s *seeding) expectOn(object, id string, clusters ...string) {
	s.fault.Findings = append(s.fault.Findings, Finding{ID: id, Object: object, Clusters: slices.Clone(clusters)})
}

// at returns the sites of some clusters.
func (s *seeding) at(clusters []string) []*site {
	out := make([]*site, len(clusters))
	for i, c := range clusters {
		out[i] = s.svc.sites[c]
	}
	return out
}

// all are the clusters' names, part draws some of them but not all.
func (s *seeding) all() []string  { return names(s.mesh) }
func (s *seeding) part() []string { return s.some(s.mesh, len(s.mesh)-1) }

// wrote annotates some clusters and notes it.
func (s *seeding) wrote(in []string, key, value string) {
	s.annotate(in, key, value)
	s.did(in, "%s", quoted(key, value))
}

// annotate sets an annotation in some clusters.
func (s *seeding) annotate(clusters []string, key, value string) {
	for _, at := range s.at(clusters) {
		at.annotations[key] = value
	}
}

// without removes an annotation everywhere.
func (s *seeding) without(key string) {
	for _, at := range s.svc.sites {
		delete(at.annotations, key)
	}
}

func has(condition func(Cluster) bool) func([]Cluster) bool {
	return func(mesh []Cluster) bool { return len(where(mesh, condition)) > 0 }
}

func allKinds() []kind {
	single := slices.Concat(annotationKinds(), affinityKinds(), portKinds(), typeKinds(), serviceKinds(), namespaceKinds())
	return append(single, pairKinds(single)...)
}

// junk lists values that a user may take for true but Cilium does not: only "true" is, in upper or lower case, and nothing
// is trimmed (pkg/annotation/clustermesh.go, 1.15 to 1.20).
var junk = []string{"yes", "1", "t", "on", " true ", "", "ture", "enabled"}

func annotationKinds() []kind {
	return []kind{
		{name: "annotation-missing", seed: func(s *seeding) {
			in := s.part()
			s.did(in, "no annotation %s", keyGlobal)
			for _, at := range s.at(in) {
				at.annotations = map[string]string{}
			}
			s.expect("SVC001", in...)
		}},
		{name: "global-false", seed: func(s *seeding) {
			in := s.part()
			s.wrote(in, keyGlobal, "false")
			s.expect("SVC001", in...)
		}},
		// A value that is not understood has the Service local, and is named as that alone.
		{name: "global-junk", seed: func(s *seeding) {
			in, value := s.some(s.mesh, len(s.mesh)), s.pick(junk...)
			s.wrote(in, keyGlobal, value)
			s.expect("SVC003", in...)
		}},
		{name: "shared-false", seed: func(s *seeding) {
			in, value := s.some(s.mesh, len(s.mesh)), s.pick("false", "False")
			s.wrote(in, keyShared, value)
			if len(in) == len(s.mesh) { // one finding for the Service, which nobody serves to others
				s.expect("SVC048", in...)
				return
			}
			s.expect("SVC004", in...)
		}},
		{name: "shared-junk", seed: func(s *seeding) {
			in, value := s.some(s.mesh, len(s.mesh)), s.pick(junk...)
			s.wrote(in, keyShared, value)
			s.expect("SVC005", in...)
		}},
		// The new key wins over the alias, whatever its value; without it the alias decides.
		{name: "alias-beside", seed: func(s *seeding) {
			in := s.some(s.mesh, len(s.mesh))
			s.wrote(in, keyGlobalAlias, "true")
			s.expect("SVC009", in...)
		}},
		{name: "alias-alone", seed: func(s *seeding) {
			in := s.some(s.mesh, len(s.mesh))
			s.did(in, "%s and no %s", quoted(keyGlobalAlias, "true"), keyGlobal)
			s.annotate(in, keyGlobalAlias, "true")
			for _, at := range s.at(in) {
				delete(at.annotations, keyGlobal)
			}
			s.expect("SVC009", in...)
		}},
		{name: "alias-loses", seed: func(s *seeding) {
			in := s.part()
			s.did(in, "%s, %s", quoted(keyGlobal, "false"), quoted(keyGlobalAlias, "true"))
			s.annotate(in, keyGlobalAlias, "true")
			s.annotate(in, keyGlobal, "false")
			s.expect("SVC009", in...)
			s.expect("SVC001", in...)
		}},
		{name: "alias-unshares", seed: func(s *seeding) {
			in := s.part()
			for _, at := range s.at(in) {
				delete(at.annotations, keyShared)
			}
			s.wrote(in, keySharedAlias, "false")
			s.expect("SVC009", in...)
			s.expect("SVC004", in...)
		}},
		// Asked for where it is off, or with another word than true.
		{name: "sync-in-vain", seed: func(s *seeding) {
			in, value := s.part(), "yes"
			if off := where(s.mesh, noSync); len(off) > 0 && s.chance(60) {
				in, value = s.some(off, len(off)), "true"
			}
			s.wrote(in, keySync, value)
			s.expect("SVC027", in...)
		}},
	}
}

func affinityKinds() []kind {
	// unknown writes a word for which 1.18.0 to 1.19.5 drop all remote backends; other versions take it for none.
	unknown := func(s *seeding, in []string, value string) {
		s.without(keyAffinity)
		s.wrote(in, keyAffinity, value)
		var drops, ignores []string
		for _, c := range s.mesh {
			switch {
			case !slices.Contains(in, c.Name):
			case dropsUnknownAffinity(c):
				drops = append(drops, c.Name)
			case !strings.EqualFold(value, "none"):
				ignores = append(ignores, c.Name)
			}
		}
		if len(drops) > 0 {
			s.expect("SVC006", drops...)
		}
		if len(ignores) > 0 {
			s.expect("SVC007", ignores...)
		}
	}
	return []kind{
		{name: "affinity-junk", seed: func(s *seeding) {
			unknown(s, s.some(s.mesh, len(s.mesh)), s.pick("local ", "cluster-a", "nearest", "true"))
		}},
		{name: "affinity-none", possible: has(dropsUnknownAffinity), seed: func(s *seeding) {
			unknown(s, s.some(where(s.mesh, dropsUnknownAffinity), len(s.mesh)), s.pick("none", "None"))
		}},
		{name: "affinity-pair", seed: func(s *seeding) {
			s.without(keyAffinity)
			all := s.all()
			s.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			near := 1 + s.IntN(len(all)-1)
			far := near + 1 + s.IntN(len(all)-near)
			s.did(all[:far], "local in %s, remote in %s", strings.Join(all[:near], ", "), strings.Join(all[near:far], ", "))
			s.annotate(all[:near], keyAffinity, s.pick("local", "Local"))
			s.annotate(all[near:far], keyAffinity, s.pick("remote", "REMOTE"))
			s.expect("SVC008", all[:far]...)
		}},
		{name: "alias-affinity", seed: func(s *seeding) {
			s.without(keyAffinity)
			in, value := s.some(s.mesh, len(s.mesh)), s.pick("local", "remote")
			s.wrote(in, keyAffinityAlias, value)
			s.expect("SVC009", in...)
			if value == "remote" && len(in) == len(s.mesh) {
				s.expect("SVC048", in...)
			}
		}},
	}
}

// portKinds are faults of port matching between clusters: same protocol, same family, and the same name where both sides have
// one (matchesFrontend in pkg/loadbalancer/writer, 1.18 to 1.20). Numbers do not matter. A finding names both sides.
func portKinds() []kind {
	http := func() []port { return []port{{"http", corev1.ProtocolTCP, 80, 8080}} }
	metrics := port{"metrics", corev1.ProtocolTCP, 9100, 9100}
	everywhere := func(s *seeding, ports []port) {
		for _, at := range s.svc.sites {
			at.ports = slices.Clone(ports)
		}
	}
	// maybe adds a second port that stays as it is.
	maybe := func(s *seeding, ports []port) []port {
		if s.chance(50) {
			return append(ports, metrics)
		}
		return ports
	}
	return []kind{
		{name: "port-name", seed: func(s *seeding) {
			everywhere(s, maybe(s, http()))
			in := s.part()
			s.did(in, "port http is named web")
			for _, at := range s.at(in) {
				at.ports[0].name = "web"
			}
			s.expect("SVC010", s.all()...)
		}},
		{name: "port-unnamed", possible: has(strictPorts), seed: func(s *seeding) {
			everywhere(s, http())
			in := s.part()
			s.did(in, "port http has no name")
			for _, at := range s.at(in) {
				at.ports[0].name = ""
			}
			// Clients of an older cluster meet it with every cluster that is not as their own is.
			var hit []string
			for _, c := range where(s.mesh, strictPorts) {
				hit = append(hit, c.Name)
				for _, o := range s.mesh {
					if slices.Contains(in, o.Name) != slices.Contains(in, c.Name) {
						hit = append(hit, o.Name)
					}
				}
			}
			slices.Sort(hit)
			s.expect("SVC010", slices.Compact(hit)...)
		}},
		{name: "port-missing", seed: func(s *seeding) {
			everywhere(s, append(http(), metrics))
			in := s.part()
			s.did(in, "port metrics is missing")
			for _, at := range s.at(in) {
				at.ports = at.ports[:1]
			}
			s.expect("SVC010", s.all()...)
		}},
		{name: "port-protocol", seed: func(s *seeding) {
			everywhere(s, maybe(s, http()))
			in := s.part()
			s.did(in, "port http is UDP")
			for _, at := range s.at(in) {
				at.ports[0].protocol = corev1.ProtocolUDP
			}
			s.expect("SVC011", s.all()...)
		}},
		// The lab's Services are IPv4; endpoints of the other family serve no client of another cluster.
		{name: "ip-family", seed: func(s *seeding) {
			in := []string{s.mesh[s.IntN(len(s.mesh))].Name}
			s.did(in, "its endpoints have IPv6 addresses only")
			for _, at := range s.at(in) {
				at.ipv6, at.selector = true, false
			}
			s.expect("SVC012", s.all()...)
		}},
		// Clients of these versions get the remote endpoints for one of the ports only.
		{name: "target-port", possible: has(losesTargetPorts), seed: func(s *seeding) {
			everywhere(s, append(http(), port{"alternative", corev1.ProtocolTCP, 8081, 8080}))
			in := names(where(s.mesh, losesTargetPorts))
			s.did(s.all(), "ports http and alternative have one target port")
			s.expect("SVC025", in...)
		}},
	}
}
