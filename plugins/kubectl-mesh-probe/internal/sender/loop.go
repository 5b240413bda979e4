package sender

import (
	"context"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// stream is what the loop asks of the orders of a run.
type stream interface {
	waiting
	Trailer() (ended bool, err error)
	Interrupt()
}

// steps are what a run does in each round of its loop.
type steps interface {
	// read processes what the pod has printed.
	read() error
	// watch sends heartbeats, and stops requests that take too long.
	watch(now time.Time) error
	// send orders more requests. It is not called after an interrupt.
	send(now time.Time)
	// sleep returns how long to wait if nothing arrives.
	sleep(now time.Time) time.Duration
}

// ending is how far an interrupt has ended a run.
type ending struct {
	giveUp time.Time // when to stop waiting for an orderly end; zero before an interrupt
}

// interrupted reports whether the pod was asked to end the run.
func (e *ending) interrupted() bool { return !e.giveUp.IsZero() }

// loop runs until the pod has ended the run. Its error says why the run is incomplete. A stop that is closed ends a wait early; nil never does.
func (e *ending) loop(ctx context.Context, s stream, run steps, stop <-chan struct{}) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	over, interrupt := false, ctx.Done()
	for {
		if err := run.read(); err != nil {
			return err
		}
		if ended, err := s.Trailer(); ended {
			if ctx.Err() != nil {
				return wire.ErrInterrupted
			}
			return err
		}
		if over {
			return s.Ended()
		}
		now := time.Now()
		if e.interrupted() && now.After(e.giveUp) {
			return wire.ErrInterrupted
		}
		if err := run.watch(now); err != nil {
			return err
		}
		if !e.interrupted() {
			run.send(now)
		}
		wait := run.sleep(now)
		if e.interrupted() {
			wait = min(wait, e.giveUp.Sub(now))
		}
		timer.Reset(wait)
		select {
		case <-s.Ready():
		case <-timer.C:
		case <-stop:
			stop = nil
		case <-s.Done():
			over = true
		case <-interrupt:
			interrupt = nil
			s.Interrupt()
			e.giveUp = time.Now().Add(wire.StopTimeout)
		}
	}
}
