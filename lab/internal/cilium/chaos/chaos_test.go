package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// five are the clusters of make chaos: two minors, and patches with and without the fixes.
func five() []Cluster {
	var out []Cluster
	for i, version := range [][2]int{{19, 5}, {19, 7}, {19, 2}, {20, 2}, {20, 2}} {
		out = append(out, Cluster{
			Name: string(rune('a' + i)), Minor: version[0], Patch: version[1], PodPrefix: fmt.Sprintf("10.%d", i+1),
			Settings: Installed(version[0], i == 1),
		})
	}
	return out
}

// text is all of a plan, what is to be written included.
func text(t *testing.T, p *Plan) string {
	t.Helper()
	all := []any{p}
	for _, c := range five() {
		objects := p.content(c)
		all = append(all, objects.namespaces, objects.services, objects.slices, objects.policies)
	}
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func plan(t *testing.T, mesh []Cluster, seed uint64, services, faults int, kinds ...string) *Plan {
	t.Helper()
	p, err := New(mesh, Options{Seed: seed, Services: services, Faults: faults, Kinds: kinds, Prefix: "chaos"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestASeedDecidesEverything(t *testing.T) {
	t.Parallel()
	first, again, other := text(t, plan(t, five(), 7, 300, 100)), text(t, plan(t, five(), 7, 300, 100)), text(t, plan(t, five(), 8, 300, 100))
	if first != again {
		t.Error("one seed made two plans")
	}
	if first == other {
		t.Error("two seeds made one plan")
	}
}

func TestEveryPossibleKindIsSeeded(t *testing.T) {
	t.Parallel()
	old := []Cluster{{Name: "a", Minor: 17, Patch: 16}, {Name: "b", Minor: 18, Patch: 11}}
	seen := map[string]bool{}
	for _, mesh := range [][]Cluster{five(), old} {
		for _, f := range plan(t, mesh, 1, 300, 100).Faults {
			seen[f.Kind] = true
		}
	}
	for _, k := range Kinds() {
		if !seen[k] {
			t.Errorf("kind %s does not occur", k)
		}
	}
}

// TestPlansHoldTogether: the expected findings of a fault name objects that exist.
func TestPlansHoldTogether(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		p, err := New(five(), Options{Seed: seed, Services: 300, Faults: 100, Prefix: "chaos", VarySettings: seed%2 == 0})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.services) != 300 || len(p.Faults) != 100 {
			t.Fatalf("seed %d: %d services, %d faults", seed, len(p.services), len(p.Faults))
		}
		objects := map[string]bool{}
		for _, s := range p.services {
			if objects[s.object()] {
				t.Errorf("seed %d: two of %s", seed, s.object())
			}
			objects[s.object()] = true
			if len(s.sites) == 0 {
				t.Errorf("seed %d: %s is nowhere", seed, s.object())
			}
		}
		faulty := map[string]string{}
		for _, f := range p.Faults {
			if len(f.Clusters) == 0 || f.Detail == "" || len(f.Findings) == 0 {
				t.Errorf("seed %d: %+v says too little", seed, f)
			}
			for _, e := range f.Findings {
				if !objects[e.Object] && e.Object != "namespace/"+f.Namespace {
					t.Errorf("seed %d: %s names %s, which does not exist", seed, f.Kind, e.Object)
				}
				if by := faulty[e.ID+e.Object]; by != "" {
					t.Errorf("seed %d: %s and %s are both about %s", seed, by, f.Kind, e.Object)
				}
				faulty[e.ID+e.Object] = f.Kind
				if len(e.Clusters) == 0 || !slices.IsSorted(e.Clusters) || len(slices.Compact(slices.Clone(e.Clusters))) != len(e.Clusters) {
					t.Errorf("seed %d: %s yields %s in %v", seed, f.Kind, e.ID, e.Clusters)
				}
			}
		}
	}
}

// TestWhatAFaultYields: one case of each kind whose findings hang on the clusters' versions and settings.
func TestWhatAFaultYields(t *testing.T) {
	t.Parallel()
	ids := func(mesh []Cluster, kind string) []string {
		found := map[string]bool{}
		for seed := range uint64(40) {
			for _, f := range plan(t, mesh, seed, 1, 1, kind).Faults {
				for _, e := range f.Findings {
					for _, c := range e.Clusters {
						found[e.ID+" "+c] = true
					}
				}
			}
		}
		var out []string
		for k := range found {
			out = append(out, k)
		}
		slices.Sort(out)
		return out
	}
	two := func(minor, patch, minor2, patch2 int) []Cluster {
		return []Cluster{
			{Name: "a", Minor: minor, Patch: patch, Settings: Installed(minor, false)},
			{Name: "b", Minor: minor2, Patch: patch2, Settings: Installed(minor2, true)},
		}
	}
	for name, tc := range map[string]struct {
		mesh []Cluster
		kind string
		want string
	}{
		"unknown affinity, without and with the fix": {two(19, 5, 19, 6), "affinity-junk", "SVC006 a, SVC007 b"},
		"unknown affinity, before the fault":         {two(18, 0, 17, 9), "affinity-junk", "SVC006 a, SVC007 b"},
		"affinity none":                              {two(19, 5, 19, 6), "affinity-none", "SVC006 a"},
		"target port":                                {two(19, 3, 19, 4), "target-port", "SVC025 a"},
		"target port on 1.18":                        {two(18, 9, 18, 10), "target-port", "SVC025 a"},
		"namespace gate":                             {two(20, 0, 19, 7), "namespace-gate", "SVC019 a"},
		"no names up to 1.17":                        {two(17, 9, 18, 11), "port-unnamed", "SVC010 a, SVC010 b"},
		"node ports":                                 {two(19, 7, 19, 7), "node-port", "SVC020 a"},
		"policies":                                   {two(19, 7, 18, 11), "policy-ingress", "SVC028 a, SVC028 b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tc.want, strings.Join(ids(tc.mesh, tc.kind), ", ")); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAddressesAreDistinct(t *testing.T) {
	t.Parallel()
	p := plan(t, five(), 3, 900, 100)
	seen := map[string]bool{}
	for _, c := range five() {
		for _, s := range p.content(c).slices {
			for _, e := range s.Endpoints {
				if seen[e.Addresses[0]] {
					t.Fatalf("address %s is there twice", e.Addresses[0])
				}
				seen[e.Addresses[0]] = true
			}
		}
	}
}

func TestServiceRangesAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for id := 1; id <= 255; id++ {
		r := Target{ID: id}.serviceRange()
		if other, ok := seen[r]; ok {
			t.Fatalf("clusters %d and %d have %s", other, id, r)
		}
		seen[r] = id
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mesh []Cluster
		o    Options
		want string
	}{
		"one cluster":         {five()[:1], Options{Services: 1}, "need two"},
		"too many faults":     {five(), Options{Services: 2, Faults: 3}, "at most one fault for each"},
		"no service":          {five(), Options{}, "at least one service"},
		"below zero":          {five(), Options{Services: 5, Faults: -1}, "-1 faults"},
		"unknown kind":        {five(), Options{Services: 5, Faults: 1, Kinds: []string{"port"}}, `unknown kind of fault "port"; there are affinity-junk`},
		"not with this lab's": {five(), Options{Services: 5, Faults: 1, Kinds: []string{"port-unnamed"}}, "none of the kinds port-unnamed is possible"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(tc.mesh, tc.o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}

// TestHealthyServicesDiffer: what is well must not all look the same.
func TestHealthyServicesDiffer(t *testing.T) {
	t.Parallel()
	p := plan(t, five(), 5, 300, 0)
	looks := map[string]bool{}
	for _, s := range p.services {
		var b strings.Builder
		for _, c := range five() {
			at, ok := s.sites[c.Name]
			if !ok {
				b.WriteString("-")
				continue
			}
			fmt.Fprintf(&b, "%v %v %v %d %v;", at.annotations, at.kind, at.headless, len(at.ports), at.selector)
		}
		looks[b.String()] = true
	}
	if len(looks) < 150 {
		t.Errorf("300 services look in only %d ways", len(looks))
	}
}
