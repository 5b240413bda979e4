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
	rate   float64 // requests per second; 0 means unlimited
	tokens float64
	last   time.Time
}

// burst is how many requests may be sent at once: those of a quarter of a second, so that one process sends many.
func (b *budget) burst() float64 { return max(1, b.rate/4) }

func newBudget(count int, duration time.Duration, rate float64, now func() time.Time) *budget {
	b := &budget{now: now, left: -1, rate: rate, last: now()}
	if duration > 0 {
		b.until = now().Add(duration)
	} else {
		b.left = count
	}
	b.tokens = b.burst()
	return b
}

// take returns how many requests may be sent now, at most want. If none, it returns how long to wait, or done if nothing is left to send.
func (b *budget) take(want int) (n int, wait time.Duration, done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if b.left == 0 || !b.until.IsZero() && !now.Before(b.until) {
		return 0, 0, true
	}
	n = max(1, want)
	if b.left > 0 {
		n = min(n, b.left)
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
