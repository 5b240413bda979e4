package wire

import (
	"errors"
	"time"
)

// Beat sends a heartbeat if it is time. It returns an error if the pod has been silent for too long.
func (b *Batches) Beat(now time.Time) error {
	if now.Sub(b.pulse.heard) > silence {
		return errors.New("the exec stream was lost: the pod has not answered for " + silence.String())
	}
	if !now.Before(b.pulse.next) {
		b.beatNow(now)
	}
	return nil
}

// Ask sends a heartbeat if the last one is old, because its answer says how much the current batch has written.
func (b *Batches) Ask(now time.Time, old time.Duration) {
	if now.Sub(b.pulse.next.Add(-beatEvery)) >= old {
		b.beatNow(now)
	}
}

func (b *Batches) beatNow(now time.Time) {
	b.stream.in.send("P")
	b.pulse.next = now.Add(beatEvery)
}

// NextBeat is when the next heartbeat is due.
func (b *Batches) NextBeat() time.Time { return b.pulse.next }

// pulse knows when the pod was last heard, and when to send the next heartbeat.
type pulse struct {
	bytes int64
	heard time.Time
	next  time.Time
}

func newPulse(now time.Time) pulse { return pulse{heard: now, next: now.Add(beatEvery)} }

// hear takes the number of bytes that have arrived so far.
func (p *pulse) hear(bytes int64, now time.Time) {
	if bytes != p.bytes {
		p.bytes, p.heard = bytes, now
	}
}
