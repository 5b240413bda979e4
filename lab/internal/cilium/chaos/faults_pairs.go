package chaos

import "slices"

// pairGroups are kinds that leave each other's findings as they are, if they come from different groups: none of them
// takes a Service out of the mesh or away, and each spoils something else.
var pairGroups = [][]string{
	{"shared-false", "shared-junk"},
	{"port-name", "port-missing", "port-protocol"},
	{"alias-beside"},
	{"affinity-junk", "affinity-pair"},
	{"session-affinity"},
	{"internal-policy"},
	{"sync-in-vain"},
}

// pairKinds are two faults of one Service.
func pairKinds(single []kind) []kind {
	byName := map[string]kind{}
	for _, k := range single {
		byName[k.name] = k
	}
	return []kind{{name: "two-at-once", seed: func(s *seeding) {
		groups := slices.Clone(pairGroups)
		s.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		// Whose endpoints are not shared, of him nobody sees that his ports differ.
		if shares, ports := slices.IndexFunc(groups, holds("shared-false")), slices.IndexFunc(groups, holds("port-name")); shares < 2 && ports < 2 {
			groups[max(shares, ports)], groups[2] = groups[2], groups[max(shares, ports)]
		}
		whole := s.fault
		for i, group := range groups[:2] {
			part := &Fault{}
			s.fault = part
			byName[s.pick(group...)].seed(s)
			if i > 0 {
				whole.Detail += "; "
			}
			whole.Detail += part.Detail
			whole.Clusters = append(whole.Clusters, part.Clusters...)
			whole.Findings = append(whole.Findings, part.Findings...)
		}
		slices.Sort(whole.Clusters)
		whole.Clusters = slices.Compact(whole.Clusters)
		s.fault = whole
	}}}
}

func holds(name string) func([]string) bool {
	return func(group []string) bool { return slices.Contains(group, name) }
}
