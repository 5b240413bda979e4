package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// seeded is what meshlab chaos-services prints: the faults that are there, and the findings they must yield.
type seeded struct {
	Seed     uint64    `json:"seed"`
	Clusters []string  `json:"clusters"`
	Services int       `json:"services"`
	Faults   []fault   `json:"faults"`
	Mesh     []finding `json:"mesh"`
}

type fault struct {
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Service   string    `json:"service"`
	Clusters  []string  `json:"clusters"`
	Detail    string    `json:"detail"`
	Findings  []finding `json:"findings"`
}

type finding struct {
	ID       string   `json:"id"`
	Object   string   `json:"object"`
	Clusters []string `json:"clusters"`
}

func (f fault) String() string {
	where := "namespace " + f.Namespace
	if f.Service != "" {
		where = f.Namespace + "/" + f.Service
	}
	return fmt.Sprintf("%s in %s (%s): %s", f.Kind, where, strings.Join(f.Clusters, ", "), f.Detail)
}

// subject is what findings are compared by. A checker may say the same of several clusters in one finding or in
// several, so that what counts is the set of clusters over all findings of one id about one object.
type subject struct{ id, object string }

func (s subject) String() string { return strings.TrimSpace(s.id + " " + s.object) }

// result is how the findings of one seed compare.
type result struct {
	expected, found int
	// missed and extra are lines for a person.
	missed, extra []string
	// unfound counts the faults of which a finding was missed.
	unfound int
}

// claim is what is expected or was reported of a subject.
type claim struct {
	clusters []string
	because  []string
	faults   []int
}

func (c *claim) add(clusters []string, because string) {
	c.clusters = append(c.clusters, clusters...)
	slices.Sort(c.clusters)
	c.clusters = slices.Compact(c.clusters)
	if because != "" {
		c.because = append(c.because, because)
	}
}

// compare compares both ways, cluster by cluster.
func compare(want seeded, got []v1alpha1.Finding) result {
	expected, reported := map[subject]*claim{}, map[subject]*claim{}
	at := func(m map[subject]*claim, s subject) *claim {
		if m[s] == nil {
			m[s] = &claim{}
		}
		return m[s]
	}
	for _, f := range want.Mesh {
		at(expected, subject{f.ID, f.Object}).add(f.Clusters, "how the lab is set up")
	}
	for i, f := range want.Faults {
		for _, e := range f.Findings {
			c := at(expected, subject{e.ID, e.Object})
			c.add(e.Clusters, f.String())
			c.faults = append(c.faults, i)
		}
	}
	for _, f := range got {
		at(reported, subject{f.ID, f.Object}).add(f.Clusters, f.Message)
	}
	var r result
	unfound := map[int]bool{}
	for _, s := range sorted(expected) {
		c := expected[s]
		r.expected++
		switch missing := without(c.clusters, reported[s]); {
		case len(missing) == 0 && reported[s] != nil:
			r.found++
		default:
			r.missed = append(r.missed, fmt.Sprintf("%s in %s; seeded: %s", s, strings.Join(missing, ", "), strings.Join(c.because, "; ")))
			for _, i := range c.faults {
				unfound[i] = true
			}
		}
	}
	for _, s := range sorted(reported) {
		c := reported[s]
		if extra := without(c.clusters, expected[s]); len(extra) > 0 || expected[s] == nil {
			r.extra = append(r.extra, fmt.Sprintf("%s in %s; reported: %s%s", s, strings.Join(extra, ", "), strings.Join(c.because, "; "), seededOn(want, s)))
		}
	}
	r.unfound = len(unfound)
	return r
}

// seededOn says what was seeded on an object of which too much is reported.
func seededOn(want seeded, s subject) string {
	for _, f := range want.Faults {
		for _, e := range f.Findings {
			if e.Object == s.object && s.object != "" {
				return "; seeded: " + f.String()
			}
		}
	}
	return ""
}

// without returns the clusters that a claim does not name.
func without(clusters []string, c *claim) []string {
	var out []string
	for _, name := range clusters {
		if c == nil || !slices.Contains(c.clusters, name) {
			out = append(out, name)
		}
	}
	return out
}

func sorted(m map[subject]*claim) []subject {
	return slices.SortedFunc(maps.Keys(m), func(a, b subject) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.object, b.object))
	})
}
