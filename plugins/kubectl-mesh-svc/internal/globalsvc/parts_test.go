package globalsvc

import (
	"slices"
	"testing"
)

func TestInParts(t *testing.T) {
	t.Parallel()
	for n := range 100 {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		if got := slices.Concat(inParts(all, slices.Clone[[]int])...); !slices.Equal(got, all) {
			t.Errorf("of %d: %v", n, got)
		}
	}
}
