package parallel

import (
	"slices"
	"testing"
)

func TestMap(t *testing.T) {
	t.Parallel()
	for n := range 100 {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		if got := slices.Concat(Map(all, slices.Clone[[]int])...); !slices.Equal(got, all) {
			t.Errorf("of %d: %v", n, got)
		}
	}
}
