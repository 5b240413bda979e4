package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Difference returns the interval of p2 - p1 at quantile z, where p1 is k1 of n1 and p2 is k2 of n2.
// Source: R. G. Newcombe, 1998, method 10.
func Difference(k1, n1, k2, n2 int, z float64) Interval {
	if n1 == 0 || n2 == 0 {
		return Interval{-1, 1}
	}
	p1, p2 := float64(k1)/float64(n1), float64(k2)/float64(n2)
	a, b := WilsonAt(k1, n1, z), WilsonAt(k2, n2, z)
	return Interval{
		Low:  p2 - p1 - math.Hypot(p2-b.Low, a.High-p1),
		High: p2 - p1 + math.Hypot(b.High-p2, p1-a.Low),
	}
}

// TwoProportions returns the probability of a difference between two shares at least as large as that of k1 of n1 and k2 of n2, if both have the
// same share: the chi-square test of a table with two rows and two columns.
func TwoProportions(k1, n1, k2, n2 int) float64 {
	all := float64(n1 + n2)
	share := float64(k1+k2) / all
	if n1 == 0 || n2 == 0 || share == 0 || share == 1 {
		return 1
	}
	z := (float64(k2)/float64(n2) - float64(k1)/float64(n1)) / math.Sqrt(share*(1-share)*(1/float64(n1)+1/float64(n2)))
	return math.Erfc(math.Abs(z) / math.Sqrt2)
}

// MannWhitney returns the probability of ranks that differ at least as much as those of two sorted samples, if both come from the same
// distribution. It uses the normal approximation with the correction for ties, so each sample should have 20 values or more.
func MannWhitney(a, b []float64) float64 {
	n1, n2 := float64(len(a)), float64(len(b))
	if len(a) == 0 || len(b) == 0 {
		return 1
	}
	ranks, ties := 0.0, 0.0 // the sum of the ranks of a, and of t³-t over all groups of t equal values
	for i, j := 0, 0; i < len(a) || j < len(b); {
		v := math.Inf(1)
		if i < len(a) {
			v = a[i]
		}
		if j < len(b) {
			v = min(v, b[j])
		}
		before, inA := i+j, i
		for i < len(a) && a[i] == v {
			i++
		}
		for j < len(b) && b[j] == v {
			j++
		}
		t := float64(i + j - before)
		ranks += float64(i-inA) * (float64(before) + (t+1)/2)
		ties += t*t*t - t
	}
	n := n1 + n2
	sigma := math.Sqrt(n1 * n2 / 12 * (n + 1 - ties/(n*(n-1))))
	if sigma == 0 || math.IsNaN(sigma) {
		return 1
	}
	u := ranks - n1*(n1+1)/2
	return math.Erfc(max(0, math.Abs(u-n1*n2/2)-0.5) / sigma / math.Sqrt2)
}

// resamples is how many bootstrap samples a quotient of quantiles is drawn from.
const resamples = 4000

// QuantileRatio returns the bootstrap interval of q(b)/q(a), where q is the quantile p of a sorted sample with values above 0. alpha is the
// probability that it misses. The quantile of a bootstrap sample is the value at a rank that is binomial, so that only ranks are drawn, which
// takes no longer for a million values. The draws are always the same, so that the same samples give the same interval.
func QuantileRatio(a, b []float64, p, alpha float64) Interval {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the draws are to be the same each time
	draw := func(sorted []float64) float64 {
		n := float64(len(sorted))
		rank := n*p + random.NormFloat64()*math.Sqrt(n*p*(1-p))
		return sorted[int(min(max(0, math.Ceil(rank)-1), n-1))]
	}
	ratios := make([]float64, resamples)
	for i := range ratios {
		ratios[i] = draw(b) / draw(a)
	}
	slices.Sort(ratios)
	low := int(alpha / 2 * resamples)
	return Interval{Low: ratios[low], High: ratios[resamples-1-low]}
}
