// Package parallel spreads work on values over the processors. It is pure.
package parallel

import (
	"runtime"
	"sync"
)

// Map cuts all into as many parts as there are processors, calls fn for each part on its own processor, and returns the results in
// the order of the parts. fn must change nothing that is shared.
func Map[T, R any](all []T, fn func([]T) R) []R {
	n := min(runtime.GOMAXPROCS(0), len(all))
	out := make([]R, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { out[i] = fn(all[i*len(all)/n : (i+1)*len(all)/n]) })
	}
	wg.Wait()
	return out
}
