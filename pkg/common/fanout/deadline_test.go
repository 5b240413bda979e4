package fanout

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	wait := func(d time.Duration) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			derived, cancel := context.WithCancel(ctx) // as HTTP clients do
			defer cancel()
			select {
			case <-time.After(d):
				return 1, nil
			case <-derived.Done():
				return 0, derived.Err()
			}
		}
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	late, stop := context.WithTimeout(t.Context(), 0)
	defer stop()
	cases := map[string]struct {
		ctx     context.Context
		timeout time.Duration
		takes   time.Duration
		class   failure.Class
		cause   error
		after   time.Duration
	}{
		"in time":               {t.Context(), 10 * time.Second, 9 * time.Second, "", nil, 9 * time.Second},
		"too late":              {t.Context(), 10 * time.Second, 11 * time.Second, failure.Timeout, context.DeadlineExceeded, 10 * time.Second},
		"no deadline":           {t.Context(), 0, time.Hour, "", nil, time.Hour},
		"interrupted":           {interrupted, 10 * time.Second, time.Second, failure.Interrupted, context.Canceled, 0},
		"the caller's deadline": {late, 10 * time.Second, time.Second, failure.Timeout, context.DeadlineExceeded, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := c.ctx
				if ctx.Err() == nil {
					ctx = t.Context()
				}
				start := time.Now()
				_, err := Within(ctx, c.timeout, wait(c.takes))
				class := failure.Class("")
				if err != nil {
					class = failure.Classify(err).Class
				}
				if class != c.class || !errors.Is(err, c.cause) || time.Since(start) != c.after {
					t.Errorf("%v (%s) after %s", err, class, time.Since(start))
				}
			})
		})
	}
}

// TestInterruptIsKnownAtOnce: between the interrupt and the next question no goroutine may have to run.
func TestInterruptIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	for range 1000 {
		parent, interrupt := context.WithCancel(t.Context())
		ctx, cancel := withPatience(parent, time.Hour, func() bool { return false })
		interrupt()
		if err := ctx.Err(); !errors.Is(err, context.Canceled) {
			t.Fatalf("after the interrupt: %v", err)
		}
		cancel()
	}
}
