package lab

import (
	"testing"
	"time"
)

func TestLaps(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	took := newLaps(start)
	took.end("programs", start.Add(900*time.Millisecond))
	took.end("nodes", start.Add(3*time.Second))
	if want := "the lab started in 3.0 s: programs 0.9 s, nodes 2.1 s"; took.String() != want {
		t.Errorf("got %q, want %q", took, want)
	}
}

func TestMemoryLine(t *testing.T) {
	t.Parallel()
	if got, want := memoryLine(800<<20, 300<<20), "its processes use 1100 MB of memory: control planes 800 MB, nodes with their pods 300 MB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
