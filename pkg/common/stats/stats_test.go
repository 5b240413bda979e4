package stats

import (
	"math"
	"testing"
)

// TestChiSquare compares with tabulated quantiles: the probability at the quantile is its level.
func TestChiSquare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, x, want float64 }{
		{0.5, 3.841458820694124 / 2, 0.05}, {1, 5.991464547107979 / 2, 0.05}, {2.5, 11.0704976935164 / 2, 0.05},
		{0.5, 15.13670523 / 2, 1e-4}, {1, 18.42068074 / 2, 1e-4}, {4, 20.09023503 / 2, 0.01}, {0.5, 0, 1},
	} {
		if got := upperGamma(c.a, c.x); math.Abs(got-c.want) > 1e-7*math.Max(1, c.want*1e3) {
			t.Errorf("Q(%v, %v) = %v, want %v", c.a, c.x, got, c.want)
		}
	}
	chi2, df, p := ChiSquare([]int{670, 330}, []float64{2.0 / 3, 1.0 / 3})
	if df != 1 || math.Abs(chi2-0.05) > 1e-9 || p < 0.82 || p > 0.83 {
		t.Errorf("670 to 330 against 2:1: chi2 %v, df %d, p %v", chi2, df, p)
	}
	if _, _, p := ChiSquare([]int{500, 500}, []float64{2.0 / 3, 1.0 / 3}); p > 1e-20 {
		t.Errorf("500 to 500 against 2:1: p %v", p)
	}
	if _, df, p := ChiSquare([]int{1000}, []float64{1}); df != 0 || p != 1 {
		t.Errorf("one share: df %d, p %v", df, p)
	}
}

func TestWilson(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{{5, 10, 0.2366, 0.7634}, {50, 100, 0.4038, 0.5962}, {0, 100, 0, 0.0370}, {100, 100, 0.9630, 1}, {0, 0, 0, 1}} {
		got := Wilson(c.k, c.n)
		if math.Abs(got.Low-c.low) > 1e-4 || math.Abs(got.High-c.high) > 1e-4 {
			t.Errorf("%d of %d: %+v, want %v to %v", c.k, c.n, got, c.low, c.high)
		}
	}
}
