package judge

import (
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/stats"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/tally"
)

// Drift says how the shares changed during the run, such as "us answered 50.0%, 49.0%, 20.1%, 0.0% in the four parts of the run". It is
// empty if chance explains the difference: a chi-square test of the four parts at 1e-4.
func Drift(t *tally.Tally) string {
	parts := t.Parts(4)
	var names []string
	total, all := map[string]int{}, 0
	for _, p := range parts {
		for name, n := range p {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			total[name] += n
			all += n
		}
	}
	if len(parts) < 2 || len(names) < 2 {
		return ""
	}
	slices.Sort(names)
	chi2, most, changed := 0.0, 0.0, ""
	for _, name := range names {
		for _, p := range parts {
			size := 0
			for _, n := range p {
				size += n
			}
			expected := float64(size) * float64(total[name]) / float64(all)
			if expected < 5 {
				return "" // too few for the test
			}
			d := float64(p[name]) - expected
			chi2 += d * d / expected
			if d*d/expected > most {
				most, changed = d*d/expected, name
			}
		}
	}
	if stats.ChiSquareTail(chi2, (len(parts)-1)*(len(names)-1)) >= significance {
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

// doubtDrift withdraws a verdict about shares that changed during the run: one share does not describe it.
func (ev Evidence) doubtDrift(c Check) Check {
	if c.Verdict == Pass && ev.Drift != "" {
		return c.end(Inconclusive, "the shares changed during the run: "+ev.Drift)
	}
	return c
}
