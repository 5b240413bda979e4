package probe

// maxLooks is how often a run that may be extended is judged: after --count, after the number that the checks seem to need, and at --max-count.
const maxLooks = 3

// Looks is how often a run of count requests is judged that may be extended to most.
func Looks(count, most int) int {
	if most > count {
		return maxLooks
	}
	return 1
}

// Extend returns how many requests a run should have in all that has sent so many and was judged look times; 0 if more would settle nothing.
func Extend(checks []Check, sent, most, look int) int {
	needs := 0
	for _, c := range checks {
		if c.Verdict == Fail || c.Verdict == Inconclusive && c.Needs == 0 {
			return 0 // more requests do not make it pass
		}
		if c.Verdict == Inconclusive {
			needs = max(needs, c.Needs)
		}
	}
	switch {
	case needs == 0 || sent >= most || look >= maxLooks:
		return 0
	case look == maxLooks-1:
		return most
	}
	return min(most, max(needs, 2*sent))
}
