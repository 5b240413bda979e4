package wire

import (
	"errors"
	"time"
)

// orders is what Batches and Launches have in common: how the plugin and the pod know that the other one is alive, and how the run ends.
type orders struct {
	stream *Stream
	quit   bool // no more orders will be sent
	bytes  int64
	heard  time.Time // when the pod was last heard
	next   time.Time // when to send the next heartbeat
}

func newOrders(s *Stream) orders {
	now := time.Now()
	return orders{stream: s, heard: now, next: now.Add(beatEvery)}
}

// take returns what has arrived on the two streams since the last call.
func (o *orders) take(now time.Time) (out, errs news) {
	out, errs = o.stream.out.take(), o.stream.errOut.take()
	if bytes := out.total + errs.total; bytes != o.bytes {
		o.bytes, o.heard = bytes, now
	}
	return out, errs
}

// Beat sends a heartbeat if it is time. It returns an error if the pod has been silent for too long.
func (o *orders) Beat(now time.Time) error {
	_, err := o.tick(now)
	return err
}

// tick is Beat, and reports whether a heartbeat was sent.
func (o *orders) tick(now time.Time) (sent bool, err error) {
	if now.Sub(o.heard) > silence {
		return false, errors.New("the exec stream was lost: the pod has not answered for " + silence.String())
	}
	if now.Before(o.next) {
		return false, nil
	}
	o.beatNow(now)
	return true, nil
}

// Ask sends a heartbeat if the last one is old, because its answer says how much the current batch has written.
func (o *orders) Ask(now time.Time, old time.Duration) {
	if now.Sub(o.next.Add(-beatEvery)) >= old {
		o.beatNow(now)
	}
}

func (o *orders) beatNow(now time.Time) {
	o.stream.in.send("P")
	o.next = now.Add(beatEvery)
}

// NextBeat is when the next heartbeat is due.
func (o *orders) NextBeat() time.Time { return o.next }

// Interrupt asks the pod to end the run with all its processes.
func (o *orders) Interrupt() { o.stream.in.send("X") }

// Quit tells the pod that no order follows. It may be called several times.
func (o *orders) Quit() {
	if !o.quit {
		o.quit = true
		o.stream.in.send("Q")
	}
}

// Quitting reports whether Quit was called.
func (o *orders) Quitting() bool { return o.quit }

// Ready receives a value when there may be something to read.
func (o *orders) Ready() <-chan struct{} { return o.stream.out.ready }

// Done is closed when the exec has ended.
func (o *orders) Done() <-chan struct{} { return o.stream.done }

// Ended is the error for an exec that has ended without a trailer.
func (o *orders) Ended() error { return o.stream.ended("") }

// Close ends the stream. If everything was read (complete), it gives the exec a moment to end by itself.
func (o *orders) Close(complete bool) {
	o.stream.in.close()
	if complete {
		o.stream.wait()
	}
	o.stream.abort()
}
