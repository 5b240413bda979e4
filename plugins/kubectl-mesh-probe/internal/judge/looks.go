package judge

// maxLooks is how often a run is judged that may be extended: after --count, after the number that the checks seem to need, and at --max-count.
const maxLooks = 3

// Looks is how often a run of count requests is judged if it may be extended to most requests.
func Looks(count, most int) int {
	if most > count {
		return maxLooks
	}
	return 1
}

// Extend returns how many requests the run should send in total, after it has sent some and was judged look times. It returns 0 if more
// requests would not change a verdict.
func Extend(checks []Check, sent, most, look int) int {
	needs := 0
	for _, c := range checks {
		if c.Verdict == Fail || c.Verdict == Inconclusive && c.Needs == 0 {
			return 0 // more requests do not help
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
