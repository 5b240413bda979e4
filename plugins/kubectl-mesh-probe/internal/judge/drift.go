package judge

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// Drift says how the shares changed during the run, such as "us answered 50.0%, 49.0%, 20.1%, 0.0% in the four parts of the run". It is
// empty if chance explains the difference: a chi-square test of the four parts at 1e-4. Names that are too rare for the test do not count.
func Drift(t *tally.Tally) string {
	parts := t.Parts(4)
	c := newContingency(parts)
	if len(c.names) < 2 {
		return ""
	}
	chi2, most, changed := 0.0, 0.0, ""
	for _, name := range c.names {
		for i, p := range parts {
			expected := c.expected(i, name)
			d := float64(p[name]) - expected
			chi2 += d * d / expected
			if d*d/expected > most {
				most, changed = d*d/expected, name
			}
		}
	}
	if stats.ChiSquareTail(chi2, (len(parts)-1)*(len(c.names)-1)) >= significance {
		return ""
	}
	shares := ""
	for i, p := range parts {
		size := 0
		for _, n := range p {
			size += n
		}
		if i > 0 {
			shares += ", "
		}
		shares += stats.Percent(float64(p[changed]) / float64(size))
	}
	return fmt.Sprintf("%s answered %s in the four parts of the run", changed, shares)
}

// contingency is a table of parts of a run and names.
type contingency struct {
	names  []string
	sizes  []int // of the parts, without other names
	totals map[string]int
	all    int
}

// newContingency returns the table of the names that are expected at least 5 times in each part, sorted. The test is not valid with rarer ones.
// Without them the parts are smaller, so that further names may be too rare.
func newContingency(parts []map[string]int) contingency {
	c := contingency{totals: map[string]int{}}
	for _, p := range parts {
		for name, n := range p {
			c.totals[name] += n
		}
	}
	c.names = slices.Sorted(maps.Keys(c.totals))
	for {
		c.sizes, c.all = make([]int, len(parts)), 0
		for i, p := range parts {
			for _, name := range c.names {
				c.sizes[i] += p[name]
			}
			c.all += c.sizes[i]
		}
		if len(c.names) == 0 {
			return c
		}
		smallest := slices.Index(c.sizes, slices.Min(c.sizes))
		kept := slices.DeleteFunc(slices.Clone(c.names), func(name string) bool {
			return c.expected(smallest, name) < 5
		})
		if len(kept) == len(c.names) {
			return c
		}
		c.names = kept
	}
}

// expected is how often a name is in a part if its share is the same in all parts.
func (c contingency) expected(part int, name string) float64 {
	return float64(c.sizes[part]) * float64(c.totals[name]) / float64(c.all)
}

// doubtDrift withdraws a verdict about shares that changed during the run: one share does not describe it.
func (ev Evidence) doubtDrift(c Check) Check {
	if c.Verdict == Pass && ev.Drift != "" {
		return c.end(Inconclusive, "the shares changed during the run: "+ev.Drift)
	}
	return c
}
