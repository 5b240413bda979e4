package sender

import (
	"testing"
	"time"
)

// simulated describes batches: how long a process takes to start, and a request.
type simulated struct{ startup, request time.Duration }

func (s simulated) run(p *pace, batches int) {
	for range batches {
		p.ended(p.size, p.size, s.startup+time.Duration(p.size)*s.request, false)
	}
}

const ms = time.Millisecond

func TestPace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pod       simulated
		low, high int // size after some batches
	}{
		"fast":                         {simulated{3 * ms, 2 * ms}, 100, 100},
		"slow server":                  {simulated{3 * ms, 400 * ms}, 1, 2},
		"server of 50 ms":              {simulated{3 * ms, 50 * ms}, 9, 11},
		"slow start":                   {simulated{600 * ms, 2 * ms}, 100, 100},
		"slow start, server of 50 ms":  {simulated{2 * time.Second, 50 * ms}, 9, 11},
		"slow start, server of 400 ms": {simulated{2 * time.Second, 400 * ms}, 1, 2},
	} {
		p := newPace(100)
		if tc.pod.run(&p, 12); p.size < tc.low || p.size > tc.high {
			t.Errorf("%s: batches of %d requests, want %d to %d", name, p.size, tc.low, tc.high)
		}
	}
}

// If the pod compresses what it sends, batches are larger, above all where a process takes long to start.
func TestPacePacked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pod       simulated
		low, high int
	}{
		"fast":                        {simulated{3 * ms, 500 * time.Microsecond}, 1900, 2000},
		"server of 50 ms":             {simulated{3 * ms, 50 * ms}, 19, 21},
		"slow start, server of 10 ms": {simulated{100 * ms, 10 * ms}, 190, 210},
		"very slow start":             {simulated{2 * time.Second, 10 * ms}, 380, 420},
	} {
		p := newPace(4000)
		p.packs = true
		if tc.pod.run(&p, 12); p.size < tc.low || p.size > tc.high {
			t.Errorf("%s: batches of %d requests, want %d to %d", name, p.size, tc.low, tc.high)
		}
	}
}

// A batch prints about as much as the plugin and the pod can hold with ease.
func TestPaceSize(t *testing.T) {
	t.Parallel()
	p := newPace(4000)
	fast := simulated{3 * ms, 500 * time.Microsecond}
	p.measureSize(10*2048, 10)
	if fast.run(&p, 12); p.size != maxPrinted/2048 {
		t.Errorf("2 kB: batches of %d requests", p.size)
	}
	p.measureSize(5<<20, 1)
	if fast.run(&p, 1); p.size != 1 {
		t.Errorf("5 MB: batches of %d requests", p.size)
	}
	for range 20 {
		p.measureSize(10*512, 10)
	}
	if fast.run(&p, 12); p.size < 900 || p.size > maxPrinted/512 {
		t.Errorf("512 bytes again: batches of %d requests", p.size)
	}
}

// The pace follows a pod or a server that changes during the run.
func TestPaceFollowsChanges(t *testing.T) {
	t.Parallel()
	fast, slowStart, slowServer := simulated{3 * ms, 10 * ms}, simulated{2 * time.Second, 10 * ms}, simulated{3 * ms, 400 * ms}
	p := newPace(100)
	for i, step := range []struct {
		pod       simulated
		low, high int
	}{{fast, 45, 55}, {slowStart, 45, 55}, {slowServer, 1, 2}, {fast, 45, 55}, {slowServer, 1, 2}, {slowStart, 45, 55}, {fast, 45, 55}} {
		if step.pod.run(&p, 20); p.size < step.low || p.size > step.high {
			t.Errorf("step %d: batches of %d requests, want %d to %d", i, p.size, step.low, step.high)
		}
	}
}

func TestPaceAfterFailures(t *testing.T) {
	t.Parallel()
	p := newPace(100)
	fast := simulated{3 * ms, 2 * ms}
	fast.run(&p, 6)
	p.ended(100, 100, 300*ms, true)
	if p.size != 50 {
		t.Errorf("a failed request: %d", p.size)
	}
	p.ended(50, 1, 5*ms, false)
	if p.size != 2 {
		t.Errorf("the tool stopped after one request: %d", p.size)
	}
	p.single()
	if fast.run(&p, 3); p.size != 1 {
		t.Errorf("single: %d", p.size)
	}
}

// If batches are slow, few are ordered ahead, so that a new size applies soon.
func TestPaceWindow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		took         time.Duration
		size, window int
	}{{2 * ms, 1, 32}, {2 * ms, 4, 8}, {50 * ms, 1, 11}, {600 * ms, 2, 2}, {600 * ms, 1, 2}, {0, 100, 2}} {
		p := pace{size: tc.size, most: 100, last: sample{1, tc.took}}
		if got := p.window(); got != tc.window {
			t.Errorf("batches of %d that take %s: %d ordered ahead, want %d", tc.size, tc.took, got, tc.window)
		}
	}
	if p := (pace{size: 4, most: 100, packs: true, last: sample{1, 2 * ms}}); p.window() != 1 {
		t.Errorf("packed, batches grow: %d", p.window())
	}
	if p := (pace{size: 100, most: 100, packs: true, last: sample{64, 200 * ms}}); p.window() != 2 {
		t.Errorf("packed: %d", p.window())
	}
	if p := newPace(100); p.window() != 1 {
		t.Errorf("before the first reply: %d", p.window())
	}
}
