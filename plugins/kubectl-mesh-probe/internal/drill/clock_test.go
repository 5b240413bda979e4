package drill

import (
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/meshtest"
)

// The moments of a drill fit its requests, also if the clock was set since.
func TestMarksIfClockIsSet(t *testing.T) {
	t.Parallel()
	for _, seconds := range []int{0, 60, -60} {
		start := time.Now()
		now := func() time.Time { return meshtest.AfterStep(start, seconds) }
		first := firstWrite{now: now}
		first.heed(change.Event{Kind: change.Begun, Step: &step{Outcome: change.Outcome{Written: true}}})
		ended := &watch{stop: make(chan struct{}), done: make(chan struct{}), cancel: func() {}}
		close(ended.done)
		r := &run{Config: Config{Write: Write{Now: now}}, watch: ended}
		r.endWatch()
		want := history.Steady(start).Round(0)
		if write, end := first.time().Round(0), r.marks.end.Round(0); !write.Equal(want) || !end.Equal(want) {
			t.Errorf("%d seconds: written %s, ended %s, want %s", seconds, write, end, want)
		}
	}
}
