package sender

import (
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	b := newBudget(100, 0, 50, func() time.Time { return now })
	if n, _, _ := b.take(20, minPacked); n != 12 {
		t.Errorf("burst %d", n)
	}
	n, wait, done := b.take(20, minPacked)
	if n != 0 || done || wait != 230*time.Millisecond {
		t.Errorf("take: %d %s %v", n, wait, done)
	}
	got := 12
	for now.Before(time.Unix(1, 0)) {
		now = now.Add(wait)
		n, _, _ := b.take(20, minPacked)
		got += n
	}
	if got > 62 {
		t.Errorf("%d requests in a second", got)
	}
	now = now.Add(time.Hour) // a pause earns no more than one burst
	if n, _, _ := b.take(100, minPacked); n != 12 {
		t.Errorf("%d requests after a pause", n)
	}
	b = newBudget(3, 0, 0, time.Now)
	if n, _, _ := b.take(10, minPacked); n != 3 {
		t.Errorf("take: %d", n)
	}
	if _, _, done := b.take(1, minPacked); !done {
		t.Error("not done")
	}
	b.giveBack(2)
	if n, _, _ := b.take(10, minPacked); n != 2 {
		t.Errorf("take after giving back: %d", n)
	}
	b = newBudget(0, time.Second, 0, func() time.Time { return now })
	if n, _, _ := b.take(7, minPacked); n != 7 {
		t.Errorf("take: %d", n)
	}
	now = now.Add(time.Second)
	if _, _, done := b.take(1, minPacked); !done {
		t.Error("not done when the time is over")
	}
}

// Each batch starts a process, so that streams that share the requests do not make many small ones at the end.
func TestBudgetShared(t *testing.T) {
	t.Parallel()
	b := newBudget(8000, 0, 0, time.Now)
	b.share = 4
	batches, sent := 0, 0
	for {
		n, _, done := b.take(1000, 200)
		if done {
			break
		}
		if n < 200 && sent+n < 8000 || n > 1000 {
			t.Errorf("a batch of %d after %d requests", n, sent)
		}
		batches, sent = batches+1, sent+n
	}
	if sent != 8000 || batches > 20 {
		t.Errorf("%d requests in %d batches", sent, batches)
	}
}

// Requests that were given back can be sent again at once.
func TestFieldDGivenBackRequestsCostNoTime(t *testing.T) {
	t.Parallel()
	start := time.Unix(0, 0)
	now := start
	b := newBudget(1000, 0, 200, func() time.Time { return now })
	sent := 0
	for sent < 400 {
		n, wait, _ := b.take(100, minPacked)
		if n == 0 {
			now = now.Add(wait)
			continue
		}
		sent++
		b.giveBack(n - 1) // a busybox wget that stopped at its first request
	}
	// 200 each second, and a burst at the beginning.
	if took := now.Sub(start); took < 1500*time.Millisecond || took > 2*time.Second {
		t.Errorf("400 requests at 200 each second took %s", took)
	}
	if b.left != 600 {
		t.Errorf("%d requests left", b.left)
	}
}
