// Package stats holds the statistics by which a tally is judged: the interval
// of a share, the fit of counts to expected shares, and whether two samples differ. It is pure.
package stats

import (
	"math"
	"strconv"
)

// z95 is the quantile of a two-sided 95 % interval.
const z95 = 1.959963984540054

// Interval is a confidence interval of a share, from 0 to 1.
type Interval struct{ Low, High float64 }

// Percent shows a share from 0 to 1 as people read it, such as 12.5%.
func Percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + "%" }

// Wilson returns the 95 % score interval of k out of n. It stays honest where k is 0 or n.
// Source: E. B. Wilson, 1927; L. Brown, T. Cai, A. DasGupta, 2001.
func Wilson(k, n int) Interval { return WilsonAt(k, n, z95) }

// WilsonAt returns the score interval at quantile z, as of Z.
func WilsonAt(k, n int, z float64) Interval {
	if n == 0 {
		return Interval{0, 1}
	}
	i := wilson(float64(k)/float64(n), float64(n), z)
	if k == 0 {
		i.Low = 0
	}
	if k == n {
		i.High = 1
	}
	return i
}

func wilson(p, n, z float64) Interval {
	zz := z * z
	center := (p + zz/(2*n)) / (1 + zz/n)
	half := z / (1 + zz/n) * math.Sqrt(p*(1-p)/n+zz/(4*n*n))
	return Interval{center - half, center + half}
}

// ChiSquare tests observed counts against expected shares that add up to 1 and are
// all above 0. It returns the statistic, its degrees of freedom and the probability
// of a deviation at least as large.
func ChiSquare(observed []int, share []float64) (chi2 float64, df int, p float64) {
	n := 0
	for _, o := range observed {
		n += o
	}
	for i, o := range observed {
		e := share[i] * float64(n)
		chi2 += (float64(o) - e) * (float64(o) - e) / e
	}
	df = len(observed) - 1
	if df < 1 {
		return chi2, 0, 1
	}
	return chi2, df, ChiSquareTail(chi2, df)
}

// ChiSquareTail is the probability of a chi-square statistic at least as large, with df degrees of freedom.
func ChiSquareTail(chi2 float64, df int) float64 { return upperGamma(float64(df)/2, chi2/2) }

// upperGamma is the regularised upper incomplete gamma function Q(a, x), for a > 0 and x >= 0.
// Series below a+1, continued fraction (Lentz) above: Abramowitz and Stegun 6.5.29 and 6.5.31.
func upperGamma(a, x float64) float64 {
	if x <= 0 {
		return 1
	}
	lg, _ := math.Lgamma(a)
	front := math.Exp(-x + a*math.Log(x) - lg)
	const eps = 1e-15
	if x < a+1 {
		sum, term := 1/a, 1/a
		for n := 1; n < 10000; n++ {
			term *= x / (a + float64(n))
			sum += term
			if term < sum*eps {
				break
			}
		}
		return max(0, 1-sum*front)
	}
	const tiny = 1e-300
	b := x + 1 - a
	c, d := 1/tiny, 1/b
	h := d
	for n := 1; n < 10000; n++ {
		an := -float64(n) * (float64(n) - a)
		b += 2
		if d = an*d + b; math.Abs(d) < tiny {
			d = tiny
		}
		if c = b + an/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < eps {
			break
		}
	}
	return front * h
}

// Z is the quantile of a two-sided interval that misses with probability alpha.
func Z(alpha float64) float64 { return math.Sqrt2 * math.Erfinv(1-alpha) }

// SampleSize is about how many observations it takes until the interval at quantile z of a share of p lies within p ± tolerance, in all but
// about 1 of 1,000 samples. It is at most 1 << 30.
func SampleSize(p, tolerance, z float64) int {
	const most = 1 << 30
	chance := Z(0.002)
	enough := func(n float64) bool {
		far := chance * math.Sqrt(p*(1-p)/n)
		return wilson(max(0, p-far), n, z).Low >= p-tolerance && wilson(min(1, p+far), n, z).High <= p+tolerance
	}
	w := z / tolerance
	n := max(1, w*w*p*(1-p))
	for n < most && !enough(n) {
		n *= 1.02
	}
	return int(math.Ceil(min(n, most)))
}

// NoneSize is how many observations it takes until a share is known to be below p at quantile z, if none is observed.
func NoneSize(p, z float64) int { return int(z*z*(1-p)/p) + 1 }
