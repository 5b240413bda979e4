package fanout

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// Within calls fn, which waits for one cluster, with a deadline; 0 is none. The deadline does not run while the clock of the context is stopped (see WithClock).
func Within[T any](ctx context.Context, timeout time.Duration, fn func(context.Context) (T, error)) (T, error) {
	if timeout <= 0 {
		return fn(ctx)
	}
	again := &tried{}
	one, cancel := withPatience(context.WithValue(ctx, triedKey{}, again), timeout, stopped(ctx))
	defer cancel()
	v, err := fn(one)
	if err != nil && one.Err() != nil && ctx.Err() == nil {
		what := "no answer"
		if reason := again.reason(); reason != "" {
			what = "no success"
			err = fmt.Errorf("the last answer was: %s: %w", reason, err)
		}
		err = &failure.Error{Class: failure.Timeout, Err: fmt.Errorf("%s within %s (--cluster-timeout): %w", what, timeout, err)}
	}
	return v, err
}

// Do is Within for what returns nothing but an error.
func Do(ctx context.Context, timeout time.Duration, fn func(context.Context) error) error {
	_, err := Within(ctx, timeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}

// steps is into how many pieces a deadline is cut.
const steps = 20

// withPatience is context.WithTimeout, except that the time goes by more slowly while this process does not get to run what is ready to run:
// each piece of it begins only when the one before has been noticed, in the same queue in which answers wait for their turn. With hundreds of
// large clusters on a busy machine an answer may be there for longer than the deadline before it is read, and the cluster did nothing wrong.
// Nor does a piece count while the clock is stopped.
func withPatience(parent context.Context, timeout time.Duration, stopped func() bool) (context.Context, context.CancelFunc) {
	p := &patience{Context: parent, done: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(p.done)
		for left := steps; left > 0; {
			select {
			case <-time.After(timeout / steps):
				if !stopped() {
					left--
				}
			case <-parent.Done():
				p.err = parent.Err()
				return
			case <-ended:
				p.err = context.Canceled
				return
			}
		}
		p.err = context.DeadlineExceeded
	}()
	return p, sync.OnceFunc(func() { close(ended) })
}

// patience is the context of withPatience.
type patience struct {
	context.Context // where the values are
	done            chan struct{}
	err             error // set before done is closed
}

// Done is closed when the time is over, or when nobody waits any more.
func (p *patience) Done() <-chan struct{} { return p.done }

// Err says which of them it was. What ends the parent is known here at once, not when the goroutine gets to run:
// whoever asks after an interrupt must not take it for a failure.
func (p *patience) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return p.Context.Err()
	}
}

// clockKey is where a context holds what stops its deadlines.
type clockKey struct{}

// WithClock returns a context whose deadlines, as Within sets them, do not run while stopped reports true: a credential plugin runs, or a person types.
func WithClock(ctx context.Context, stopped func() bool) context.Context {
	return context.WithValue(ctx, clockKey{}, stopped)
}

// stopped returns what stops the deadlines of a context.
func stopped(ctx context.Context) func() bool {
	if stopped, ok := ctx.Value(clockKey{}).(func() bool); ok {
		return stopped
	}
	return func() bool { return false }
}
