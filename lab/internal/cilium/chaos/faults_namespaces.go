package chaos

import "slices"

// policy is one network policy of a namespace in one cluster, as a manifest without its name.
type policy struct {
	cluster string
	// cilium says whether it is a CiliumNetworkPolicy; else it is a NetworkPolicy.
	cilium bool
	spec   map[string]any
}

// namespaceKinds hit every Service of a namespace.
func namespaceKinds() []kind {
	return []kind{
		// It is the namespace that is missing, once, and not each Service of it.
		{name: "namespace-missing", ownNamespace: true, seed: func(s *seeding) {
			in := s.part()
			s.did(in, "there is no such namespace")
			s.ns.missing = in
			for _, svc := range s.svcs {
				for _, c := range in {
					delete(svc.sites, c)
				}
			}
			s.expectOn("namespace/"+s.ns.name, "SVC022", in...)
		}},
		// A value that is not understood means not global. Before 1.20 the annotation gates no Service.
		{name: "namespace-gate", ownNamespace: true, possible: has(gatesNamespaces), seed: func(s *seeding) {
			in, value := s.some(where(s.mesh, gatesNamespaces), len(s.mesh)), s.pick("false", "False", "no", "")
			s.did(in, "%s", quoted(keyNamespace, value))
			if older := where(s.mesh, func(c Cluster) bool { return !gatesNamespaces(c) }); len(older) > 0 && s.chance(50) {
				s.annotateNamespace(s.some(older, len(older)), value)
			}
			s.annotateNamespace(in, value)
			for _, svc := range s.svcs {
				s.expectOn(svc.object(), "SVC019", in...)
			}
		}},
		// Whoever admits no cluster but its own is a finding for all: those who admit, and those kept out.
		{name: "policy-ingress", ownNamespace: true, possible: has(localPolicies), seed: func(s *seeding) {
			in := s.some(where(s.mesh, localPolicies), len(s.mesh))
			what := s.admitOwnCluster(in)
			s.did(in, "%s", what)
			for _, svc := range s.svcs {
				s.expectOn(svc.object(), "SVC028", s.all()...)
			}
		}},
		{name: "policy-egress", ownNamespace: true, possible: has(localPolicies), seed: func(s *seeding) {
			in := s.some(where(s.mesh, localPolicies), len(s.mesh))
			s.did(in, "clients may reach only the pods of each Service, and no cluster is named")
			s.selectPods()
			for _, c := range in {
				for _, svc := range s.svcs {
					s.ns.policies = append(s.ns.policies, policy{c, true, map[string]any{
						"endpointSelector": labels("role", "client"),
						"egress":           []any{map[string]any{"toEndpoints": []any{labels("app", svc.name)}}},
					}})
				}
			}
			for _, svc := range s.svcs {
				s.expectOn(svc.object(), "SVC029", s.all()...)
			}
		}},
	}
}

func labels(key, value string) map[string]any {
	return map[string]any{"matchLabels": map[string]any{key: value}}
}

func (s *seeding) annotateNamespace(in []string, value string) {
	for _, c := range in {
		s.ns.annotations[c] = map[string]string{keyNamespace: value}
	}
}

// selectPods gives every Service a selector: else nobody knows which pods a policy would have to pick.
func (s *seeding) selectPods() {
	for _, svc := range s.svcs {
		for _, at := range svc.sites {
			at.selector = true
		}
	}
}

// admitOwnCluster writes policies that admit clients of their own cluster and of no other, and in the other
// clusters such that admit all.
func (s *seeding) admitOwnCluster(in []string) (what string) {
	s.selectPods()
	everybody := map[string]any{"fromEntities": []any{"all"}}
	var named []any
	for _, c := range s.mesh {
		named = append(named, labels("io.cilium.k8s.policy.cluster", c.Name))
	}
	byName := map[string]any{"fromEndpoints": named}
	how := s.IntN(4)
	for _, c := range s.all() {
		for _, svc := range s.svcs {
			p := policy{cluster: c, cilium: true, spec: map[string]any{"endpointSelector": labels("app", svc.name)}}
			switch {
			case !slices.Contains(in, c) && s.chance(50):
				p.spec["ingress"] = []any{everybody}
			case !slices.Contains(in, c):
				p.spec["ingress"] = []any{byName}
			case how == 0:
				what = "a policy admits pods of the namespace, and no cluster is named"
				p.spec["ingress"] = []any{map[string]any{"fromEndpoints": []any{map[string]any{}}}}
			case how == 1:
				what = "a policy admits pods with a label, and no cluster is named"
				p.spec["ingress"] = []any{map[string]any{"fromEndpoints": []any{labels("role", "client")}}}
			case how == 2:
				what = "a policy admits entity cluster"
				p.spec["ingress"] = []any{map[string]any{"fromEntities": []any{"cluster"}}}
			default:
				what = "a NetworkPolicy admits pods with a label"
				p.cilium = false
				p.spec = map[string]any{
					"podSelector": labels("app", svc.name),
					"ingress":     []any{map[string]any{"from": []any{map[string]any{"podSelector": labels("role", "client")}}}},
				}
			}
			s.ns.policies = append(s.ns.policies, p)
		}
	}
	return what
}
