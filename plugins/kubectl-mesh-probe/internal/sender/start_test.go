package sender

import (
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

func TestStartsOfABatch(t *testing.T) {
	begun := time.Unix(1000, 0)
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }
	s := starts{next: begun}

	// curl prints its records late: both arrive at 100 ms, but the first took 20 ms and began with the batch.
	first, second := reply.Reply{Measured: true, Latency: 20 * time.Millisecond}, reply.Reply{Measured: true, Latency: 30 * time.Millisecond}
	s.measured(&first, at(100))
	s.measured(&second, at(100))
	if !first.Start.Equal(at(0)) || first.Uncertain != 80*time.Millisecond {
		t.Errorf("first: %v ± %v, want 0 ± 80ms", first.Start.Sub(begun), first.Uncertain)
	}
	if !second.Start.Equal(at(20)) || second.Uncertain != 50*time.Millisecond {
		t.Errorf("second: %v ± %v, want 20ms ± 50ms", second.Start.Sub(begun), second.Uncertain)
	}

	// wget measures nothing: two replies share the 200 ms until the batch ended.
	two := make([]reply.Reply, 2)
	s = starts{next: begun}
	s.replies(two, at(200))
	for i, r := range two {
		if want := at(100 * i); !r.Start.Equal(want) || r.Uncertain < 100*time.Millisecond {
			t.Errorf("reply %d: %v ± %v, want %v", i, r.Start.Sub(begun), r.Uncertain, want.Sub(begun))
		}
		// Either may have started at the beginning, and ended at the end.
		if r.Measured || r.Start.Add(-r.Uncertain).After(begun) || !r.Start.Add(r.Latency).Equal(at(200)) {
			t.Errorf("reply %d: %v ± %v, at most %v", i, r.Start.Sub(begun), r.Uncertain, r.Latency)
		}
	}

	// A latency that does not fit into the time since the batch began moves the start back, not the end forward.
	s = starts{next: at(90)}
	long := reply.Reply{Measured: true, Latency: 50 * time.Millisecond}
	s.measured(&long, at(100))
	if !long.Start.Equal(at(50)) || long.Uncertain != 0 {
		t.Errorf("long: %v ± %v, want 50ms ± 0", long.Start.Sub(begun), long.Uncertain)
	}
}
