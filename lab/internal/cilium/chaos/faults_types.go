package chaos

import (
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// differs expects the finding that types differ, which names all clusters, if they do.
func (s *seeding) differs(in []string) {
	if len(in) < len(s.mesh) {
		s.expect("SVC023", s.all()...)
	}
}

// needsKPR expects the finding that node ports stay local, in those of the clusters that do not replace kube-proxy.
func (s *seeding) needsKPR(in []string) {
	var hit []string
	for _, c := range where(s.mesh, noKPR) {
		if slices.Contains(in, c.Name) {
			hit = append(hit, c.Name)
		}
	}
	if len(hit) > 0 {
		s.expect("SVC020", hit...)
	}
}

func (s *seeding) retype(in []string, kind corev1.ServiceType) {
	for _, at := range s.at(in) {
		at.kind = kind
	}
}

func typeKinds() []kind {
	nodePort := func(s *seeding, in []string) {
		kind := corev1.ServiceType(s.pick(string(corev1.ServiceTypeNodePort), string(corev1.ServiceTypeLoadBalancer)))
		s.did(in, "type %s", kind)
		s.retype(in, kind)
		s.differs(in)
		s.needsKPR(in)
	}
	externalName := func(s *seeding, in []string) {
		s.did(in, "type ExternalName")
		for _, at := range s.at(in) {
			at.kind, at.selector, at.ready, at.notReady = corev1.ServiceTypeExternalName, false, 0, 0
		}
	}
	headless := func(s *seeding, in []string) {
		s.without(keyAffinity)
		s.did(in, "headless")
		for _, at := range s.at(in) {
			at.headless = true
		}
	}
	return []kind{
		{name: "type", seed: func(s *seeding) { nodePort(s, s.part()) }},
		{name: "node-port", possible: has(noKPR), seed: func(s *seeding) { nodePort(s, s.all()) }},
		{name: "external-name", seed: func(s *seeding) {
			externalName(s, s.all())
			s.expect("SVC021", s.all()...)
		}},
		// Of a DNS alias nothing else matters, whether it is annotated or not.
		{name: "external-name-partly", seed: func(s *seeding) {
			in := s.part()
			externalName(s, in)
			if s.chance(50) {
				for _, at := range s.at(in) {
					at.annotations = map[string]string{}
				}
			}
			s.expect("SVC024", in...)
		}},
		{name: "headless-partly", seed: func(s *seeding) {
			in := s.part()
			headless(s, in)
			s.expect("SVC013", in...)
		}},
		// Without EndpointSlice synchronisation DNS names the own cluster's pods only.
		{name: "headless", possible: has(noSync), seed: func(s *seeding) {
			headless(s, s.all())
			s.fault.Clusters = names(where(s.mesh, noSync))
			s.expect("SVC026", s.fault.Clusters...)
		}},
	}
}

func serviceKinds() []kind {
	return []kind{
		{name: "service-missing", seed: func(s *seeding) {
			in := s.part()
			s.did(in, "there is no such Service")
			for _, c := range in {
				delete(s.svc.sites, c)
			}
			s.expect("SVC002", in...)
		}},
		{name: "no-endpoints", seed: func(s *seeding) {
			in := s.part()
			s.did(in, "the selector has no ready endpoint")
			for _, at := range s.at(in) {
				at.selector, at.ready, at.notReady = true, 0, s.IntN(3)
			}
			s.expect("SVC014", in...)
		}},
		{name: "session-affinity", seed: func(s *seeding) {
			in := s.some(s.mesh, len(s.mesh))
			s.did(in, "sessionAffinity is ClientIP")
			for _, at := range s.at(in) {
				at.sessionAffinity = true
			}
			s.expect("SVC015", in...)
		}},
		{name: "internal-policy", seed: func(s *seeding) {
			in := s.some(s.mesh, len(s.mesh))
			s.did(in, "internalTrafficPolicy is Local")
			for _, at := range s.at(in) {
				at.internalLocal = true
			}
			s.expect("SVC016", in...)
		}},
		// Only what has a node port has an externalTrafficPolicy.
		{name: "external-policy", seed: func(s *seeding) {
			in := s.part()
			s.did(in, "type NodePort with externalTrafficPolicy Local")
			s.retype(in, corev1.ServiceTypeNodePort)
			for _, at := range s.at(in) {
				at.externalLocal = true
			}
			s.expect("SVC016", in...)
			s.differs(in)
			s.needsKPR(in)
		}},
		{name: "proxy-name", seed: func(s *seeding) {
			in := s.some(s.mesh, len(s.mesh))
			s.did(in, "label %s", keyProxyName)
			for _, at := range s.at(in) {
				at.labels[keyProxyName] = "other"
			}
			s.expect("SVC017", in...)
		}},
		// The MCS-API controller makes such a Service in every cluster: derived- and ten characters of a hash in base32hex.
		{name: "derived", seed: func(s *seeding) {
			export := s.svc.name
			hash := sha256.Sum256([]byte(s.svc.namespace + "/" + export))
			s.svc.name = "derived-" + strings.ToLower(base32.HexEncoding.EncodeToString(hash[:]))[:10]
			for _, at := range s.svc.sites {
				at.labels = map[string]string{"multicluster.kubernetes.io/service-name": export}
			}
			s.did(s.all(), "made by the MCS-API controller for %s", export)
			s.expect("SVC018", s.all()...)
		}},
	}
}
