package stats

import (
	"math"
	"testing"
)

func TestWilson(t *testing.T) {
	t.Parallel()
	// Reference values: R's prop.test(k, n, correct=FALSE), rounded.
	for _, tc := range []struct {
		k, n      int
		low, high float64
	}{
		{5, 10, 0.2366, 0.7634}, {50, 100, 0.4038, 0.5962}, {500, 1000, 0.4691, 0.5309}, {0, 100, 0, 0.0370}, {100, 100, 0.9630, 1}, {0, 0, 0, 1}, {1, 3, 0.0615, 0.7923},
	} {
		got := Wilson(tc.k, tc.n)
		if math.Abs(got.Low-tc.low) > 5e-5 || math.Abs(got.High-tc.high) > 5e-5 {
			t.Errorf("Wilson(%d, %d) = %v, want %v %v", tc.k, tc.n, got, tc.low, tc.high)
		}
	}
}

func TestChiSquare(t *testing.T) {
	t.Parallel()
	// Quantiles of the chi-square distribution from tables: the probability above each.
	for _, tc := range []struct {
		x  float64
		df int
		p  float64
	}{
		{3.841458821, 1, 0.05}, {6.634896601, 1, 0.01}, {15.13670523, 1, 1e-4}, {5.991464547, 2, 0.05}, {18.42068074, 2, 1e-4},
		{11.07049769, 5, 0.05}, {18.30703805, 10, 0.05}, {124.3421134, 100, 0.05}, {77.92946517, 100, 0.95},
	} {
		if got := upperGamma(float64(tc.df)/2, tc.x/2); math.Abs(got-tc.p) > 1e-8*math.Max(1, 1/tc.p) && math.Abs(got-tc.p)/tc.p > 1e-6 {
			t.Errorf("Q(chi2 %v, df %d) = %v, want %v", tc.x, tc.df, got, tc.p)
		}
	}
	chi2, df, p := ChiSquare([]int{44, 56}, []float64{0.5, 0.5})
	if math.Abs(chi2-1.44) > 1e-9 || df != 1 || math.Abs(p-0.2301393) > 1e-6 {
		t.Errorf("got %v %v %v", chi2, df, p)
	}
	if _, _, p := ChiSquare([]int{667, 333}, []float64{2. / 3, 1. / 3}); p < 0.9 {
		t.Errorf("p %v for a perfect fit", p)
	}
}

func TestZ(t *testing.T) {
	t.Parallel()
	for alpha, want := range map[float64]float64{0.05: z95, 0.01: 2.575829304, 0.002: 3.090232306} {
		if got := Z(alpha); math.Abs(got-want) > 1e-8 {
			t.Errorf("Z(%v) = %v, want %v", alpha, got, want)
		}
	}
}

// The interval of a share at the edge of what chance does in a sample of that size is still within the tolerance.
func TestSampleSize(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ p, tolerance float64 }{{0.5, 0.05}, {0.04, 0.02}, {0.9, 0.05}, {1. / 3, 0.03}} {
		n := SampleSize(tc.p, tc.tolerance, z95)
		far := 3.0 * math.Sqrt(tc.p*(1-tc.p)/float64(n))
		for _, share := range []float64{tc.p - far, tc.p + far} {
			if ci := Wilson(int(math.Round(share*float64(n))), n); ci.Low < tc.p-tc.tolerance || ci.High > tc.p+tc.tolerance {
				t.Errorf("%+v: n %d, share %v, interval %v", tc, n, share, ci)
			}
		}
		half := float64(n) / 2
		share := tc.p + 3.1*math.Sqrt(tc.p*(1-tc.p)/half)
		if ci := Wilson(int(share*half), int(half)); ci.High < tc.p+tc.tolerance {
			t.Errorf("%+v: n %d is more than it takes", tc, n)
		}
	}
	if n := SampleSize(0.5, 0, z95); n != 1<<30 {
		t.Errorf("no tolerance: %d", n)
	}
}
