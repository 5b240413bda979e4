package sender

import (
	"sync"
	"time"
)

// budget hands out requests to the streams of one client. It knows how many are left and how fast they may be sent.
type budget struct {
	mu     sync.Mutex
	now    func() time.Time
	left   int // below 0: only the time is limited
	until  time.Time
	limit  time.Duration // until the end of the run; 0 if only the number of requests is limited
	rate   float64       // requests per second; 0 means unlimited
	tokens float64
	last   time.Time
	stop   <-chan struct{} // closed: nothing is left to send; nil means never
	share  int             // how many streams there are
}

// burst is how many requests may be sent at once: those of a quarter of a second, so that one process sends many.
func (b *budget) burst() float64 { return max(1, b.rate/4) }

func newBudget(count int, duration time.Duration, rate float64, now func() time.Time) *budget {
	b := &budget{now: now, left: -1, rate: rate, last: now(), limit: duration}
	if duration > 0 {
		b.begin(b.last)
	} else {
		b.left = count
	}
	b.tokens = b.burst()
	return b
}

// begin sets the time from which the duration counts.
func (b *budget) begin(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit > 0 {
		b.until = at.Add(b.limit)
	}
}

// take returns how many requests may be sent now, at most want. If none, it returns how long to wait, or done if nothing is left to send.
// A batch of less than least requests is only the last one.
func (b *budget) take(want, least int) (n int, wait time.Duration, done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.stopped() || b.left == 0 || !b.until.IsZero() && !now.Before(b.until) {
		return 0, 0, true
	}
	n = max(1, want)
	if b.left > 0 {
		n = min(n, b.left)
		if b.share > 1 {
			n = min(n, max(least, (b.left+b.share-1)/b.share)) // so that all streams end at about the same time
		}
	}
	if b.rate > 0 {
		b.tokens = min(b.burst(), b.tokens+now.Sub(b.last).Seconds()*b.rate)
		b.last = now
		// Wait for a whole batch: a process for a single request would cost more.
		n = min(n, int(b.burst()))
		if missing := float64(n) - b.tokens; missing > 1e-9 {
			return 0, time.Duration(missing / b.rate * float64(time.Second)), false
		}
		b.tokens -= float64(n)
	}
	if b.left > 0 {
		b.left -= n
	}
	return n, 0, false
}

// giveBack returns requests that were not sent, and the right to send as many at once.
func (b *budget) giveBack(n int) {
	b.sendAgain(n)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.burst(), b.tokens+float64(n))
}

// sendAgain returns requests that were sent and whose result is unknown. The server has handled them, so they count for the rate.
func (b *budget) sendAgain(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left >= 0 {
		b.left += n
	}
}

// stopped reports whether the run was told to end.
func (b *budget) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}
