package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The example of Newcombe's paper: 56 of 70 and 48 of 80 differ by 0.2, with 95 % from 0.0524 to 0.3339.
func TestDifference(t *testing.T) {
	t.Parallel()
	i := Difference(48, 80, 56, 70, z95)
	if math.Abs(i.Low-0.0524) > 1e-4 || math.Abs(i.High-0.3339) > 1e-4 {
		t.Errorf("%+v", i)
	}
	if i := Difference(0, 0, 1, 2, z95); i != (Interval{-1, 1}) {
		t.Errorf("without observations: %+v", i)
	}
	if i := Difference(0, 1000, 0, 1000, z95); i.Low < -0.004 || i.High > 0.004 || i.High <= 0 {
		t.Errorf("0 of 1000 twice: %+v", i)
	}
}

func TestTwoProportions(t *testing.T) {
	t.Parallel()
	// The squared statistic is the chi-square of the table: 48, 32; 56, 14.
	if p := TwoProportions(48, 80, 56, 70); math.Abs(p-0.00791) > 2e-4 {
		t.Errorf("p %v", p)
	}
	if p := TwoProportions(0, 10, 0, 20); p != 1 {
		t.Errorf("the same: p %v", p)
	}
}

// The probability must be right: 5 % of equal samples are below 5 %, and shifted ones nearly always.
func TestMannWhitney(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	sample := func(n int, shift float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = math.Round(10*random.ExpFloat64())/10 + shift // with ties
		}
		slices.Sort(out)
		return out
	}
	const runs = 2000
	false5, power := 0, 0
	for range runs {
		if MannWhitney(sample(60, 0), sample(80, 0)) < 0.05 {
			false5++
		}
		if MannWhitney(sample(60, 0), sample(80, 1)) < 0.05 {
			power++
		}
	}
	if share := float64(false5) / runs; share < 0.035 || share > 0.065 {
		t.Errorf("%.3f of equal samples are below 5 %%", share)
	}
	if power < runs*95/100 {
		t.Errorf("only %d of %d shifted samples are found", power, runs)
	}
	same := []float64{1, 1, 1}
	if p := MannWhitney(same, same); p != 1 {
		t.Errorf("nothing but ties: %v", p)
	}
}

// An interval of 95 % holds the true quotient in about 95 % of all samples, for the median and for P95.
func TestQuantileRatio(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	sample := func(n int, factor float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = factor * math.Exp(random.NormFloat64()/2)
		}
		slices.Sort(out)
		return out
	}
	const runs = 400
	for _, p := range []float64{0.5, 0.95} {
		hits := 0
		for range runs {
			i := QuantileRatio(sample(400, 1), sample(600, 1.3), p, 0.05)
			if i.Low <= 1.3 && 1.3 <= i.High {
				hits++
			}
		}
		if share := float64(hits) / runs; share < 0.91 || share > 0.985 {
			t.Errorf("P%.0f: %.3f of the intervals hold the true quotient", 100*p, share)
		}
	}
	a := sample(100, 1)
	if QuantileRatio(a, a, 0.5, 0.05) != QuantileRatio(a, a, 0.5, 0.05) {
		t.Error("the same samples give different intervals")
	}
}
