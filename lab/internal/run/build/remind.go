package build

import (
	"cmp"
	"fmt"
	"sync"
	"time"
)

// remind repeats a text with the time that has passed, until the function that it returns is called.
func (b *Builder) remind(text string) (stop func()) {
	begun, ended := time.Now(), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(cmp.Or(b.Remind, time.Minute))
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case now := <-tick.C:
				_, _ = fmt.Fprintf(b.Log, "%s, %s so far\n", text, now.Sub(begun).Round(time.Second))
			}
		}
	})
	return func() {
		close(ended)
		done.Wait()
	}
}
