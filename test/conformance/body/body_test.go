package body

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// mirror is a judge that answers with our own rules, but for one change.
type mirror struct {
	Judge
	change func([]Choice)
}

func (mirror) Version() string { return "1.20.2" }

func (m mirror) Select(client Cluster, remotes []Cluster) ([]Choice, error) {
	out, err := predict(m.Version(), append([]Cluster{client}, remotes...))
	m.change(out)
	return out, err
}

func TestRandomRepeatsItself(t *testing.T) {
	t.Parallel()
	for n := range uint64(200) {
		if d := cmp.Diff(newRandom(7, n).clusters(), newRandom(7, n).clusters()); d != "" {
			t.Fatalf("case %d: %s", n, d)
		}
	}
}

// TestChangedReaches: an exporter must be asked about a change of one thing alone, or it never has to notice it.
func TestChangedReaches(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for n := range uint64(400) {
		from := newRandom(1, n).exporter()
		to := newRandom(2, n).changed(from)
		_, before := offer("1.20.2", from)
		_, after := offer("1.20.2", to)
		seen[fmt.Sprintf("exported %t, then %t", before, after)]++
		if cmp.Equal(from.Service, to.Service) && cmp.Equal(from.Slices, to.Slices) && before != after {
			seen["by the namespace alone"]++
		}
	}
	for _, what := range []string{"exported true, then false", "exported false, then true", "exported true, then true", "by the namespace alone"} {
		if seen[what] < 5 {
			t.Errorf("%s: %d of 400 questions, want at least 5 (%v)", what, seen[what], seen)
		}
	}
}

// TestRandomReaches: the random questions must reach what is to be compared, or agreement says nothing.
func TestRandomReaches(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for n := range uint64(2000) {
		cs := newRandom(1, n).clusters()
		choices, err := predict("1.20.2", cs)
		if err != nil {
			t.Fatal(err)
		}
		sides := map[string]bool{}
		for _, c := range choices {
			seen[c.Protocol]++
			seen[map[bool]string{true: "IPv6", false: "IPv4"}[c.Addr.Addr().Is6()]]++
			for _, b := range c.Backends {
				sides[b.Cluster] = true
			}
		}
		local := sides["us"]
		delete(sides, "us")
		switch {
		case local && len(sides) > 0:
			seen["local and remote"]++
		case len(sides) > 1:
			seen["several remotes only"]++
		case len(sides) == 1:
			seen["one remote only"]++
		case local:
			seen["local only"]++
		}
		if _, ok := offer("1.20.2", cs[1]); ok {
			seen["exported"]++
		}
	}
	for _, what := range []string{"TCP", "UDP", "SCTP", "IPv4", "IPv6", "local and remote", "several remotes only", "one remote only", "local only", "exported"} {
		if seen[what] < 30 {
			t.Errorf("%s: %d of 2000 questions, want at least 30 (%v)", what, seen[what], seen)
		}
	}
}

func TestSelectionDiffers(t *testing.T) {
	t.Parallel()
	same := mirror{change: func([]Choice) {}}
	// Forgets the backends of one cluster.
	faulty := mirror{change: func(cs []Choice) {
		for i, c := range cs {
			for n, b := range c.Backends {
				if b.Cluster == "eu" {
					cs[i].Backends = slices.Delete(c.Backends, n, n+1)
					return
				}
			}
		}
	}}
	found := 0
	for n := range uint64(300) {
		cs := newRandom(3, n).clusters()
		if d, err := selectionDiffers(same, cs); d != "" || err != nil {
			t.Fatalf("case %d differs from itself: %s %v", n, d, err)
		}
		d, err := selectionDiffers(faulty, cs)
		if err != nil {
			t.Fatal(err)
		}
		if d == "" {
			continue
		}
		found++
		small := shrink(cs, func(cs []Cluster) bool { d, err := selectionDiffers(faulty, cs); return d != "" && err == nil })
		if d, _ := selectionDiffers(faulty, small); d == "" {
			t.Fatalf("case %d: the shrunk question does not differ", n)
		}
		if len(small) != 2 || len(small[1].Slices) != 1 || len(small[1].Slices[0].Endpoints) != 1 || len(small[0].Slices) != 0 {
			t.Errorf("case %d: not shrunk to one remote endpoint:\n%s", n, render(small))
		}
	}
	if found < 20 {
		t.Errorf("a judge that forgets backends was noticed in %d of 300 cases", found)
	}
}

func TestShrinkLeavesItsInput(t *testing.T) {
	t.Parallel()
	c := newRandom(5, 1).cluster("eu", 2, nil)
	c.Service = &corev1.Service{}
	c.Service.Annotations = map[string]string{"a": "1", "b": "2"}
	before := maps.Clone(c.Service.Annotations)
	small := shrinkOne(c, func(c Cluster) bool { return c.Service.Annotations["a"] == "1" })
	if d := cmp.Diff(map[string]string{"a": "1"}, small.Service.Annotations); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(before, c.Service.Annotations); d != "" {
		t.Error(d)
	}
}
