package judge

import (
	"math/rand/v2"
	"testing"
)

// A run with as many errors as allowed is hardly ever ended, although the test looks after every request. A run with more is ended soon.
func TestAbortOn(t *testing.T) {
	t.Parallel()
	const runs = 1000
	for name, tc := range map[string]struct {
		failing    float64
		requests   int
		ended      [2]int // of the runs, from to
		mostNeeded int    // requests, on average
	}{
		"no errors":       {0, 5000, [2]int{0, 0}, 0},
		"within":          {0.03, 5000, [2]int{0, 0}, 0},
		"at the limit":    {0.05, 5000, [2]int{0, runs * 5 / 1000}, 0},
		"twice the limit": {0.10, 5000, [2]int{runs, runs}, 500},
		"half fails":      {0.5, 5000, [2]int{runs, runs}, 40},
		"everything":      {1, 5000, [2]int{runs, runs}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended, needed := 0, 0
			parsed, err := ParseAbortOn("errors>5%")
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(runs) {
				random, a := rand.New(rand.NewPCG(seed, 3)), parsed.New()
				for n := 1; n <= tc.requests; n++ {
					if a.Add(random.Float64() < tc.failing) {
						ended, needed = ended+1, needed+n
						break
					}
				}
			}
			if ended < tc.ended[0] || ended > tc.ended[1] {
				t.Errorf("%d of %d runs were ended, want %v", ended, runs, tc.ended)
			}
			if tc.mostNeeded > 0 && needed > tc.mostNeeded*runs {
				t.Errorf("it took %d requests on average, want at most %d", needed/runs, tc.mostNeeded)
			}
		})
	}
}

func TestParseAbortOn(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{"errors<5%", "errors>", "errors>5", "errors>0%", "errors>100%", "us>5%", "x"} {
		if a, err := ParseAbortOn(expr); err == nil {
			t.Errorf("%s: %+v", expr, a)
		}
	}
	if a, err := ParseAbortOn(""); a != nil || err != nil || a.New() != nil {
		t.Error(a, err)
	}
}
