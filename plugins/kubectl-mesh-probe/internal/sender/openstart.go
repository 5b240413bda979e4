package sender

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// runOpen sends all requests by the schedule. No request is sent before all streams are ready.
func (r *runs) runOpen(ctx context.Context, tr wire.Transport, first *wire.Stream) Result {
	r.res.Tool, r.res.Start = r.job.traits.String(), time.Now()
	streams := make([]*openRun, r.job.streams())
	ends := make([]error, len(streams))
	warnings := make([][]string, len(streams))
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			s := first
			if i > 0 {
				if s, ends[i] = r.another(ctx, tr); ends[i] != nil {
					return
				}
			}
			streams[i] = newOpenRun(s, r, i, len(streams))
			ends[i] = streams[i].prepare(ctx)
		})
	}
	wg.Wait()
	start := time.Now().Add(mostAhead)
	failed := errors.Join(ends...) != nil
	if failed {
		r.job.Gate.arrive(len(streams))
	}
	for i, one := range streams {
		switch {
		case one == nil:
		case failed:
			one.launches.Close(false)
		default:
			wg.Go(func() {
				at, err := r.job.Gate.pass(ctx, one.launches, one.idle)
				if err != nil {
					ends[i] = err
					one.launches.Close(false)
					return
				}
				r.begun(at)
				one.start = start
				if r.job.Gate != nil {
					one.start = at.Add(mostAhead)
				}
				ends[i] = one.run(ctx)
				warnings[i] = one.warned.list()
			})
		}
	}
	wg.Wait()
	return r.conclude(ends, warnings)
}

// idle processes what the pod prints before the first order.
func (r *openRun) idle(now time.Time) error {
	_, err := r.launches.Read(now)
	return err
}

// prepare waits until the pod is ready, and measures its clock and the start of its tool.
func (r *openRun) prepare(ctx context.Context) error {
	ready := func() bool { return r.launches.Prepared() }
	if err := r.waitFor(ctx, ready); err != nil {
		return err
	}
	if r.launches.Clock.Reads {
		for i := range clockReadings {
			r.launches.AskClock()
			if err := r.waitFor(ctx, func() bool { return r.launches.Answered() > i }); err != nil {
				return err
			}
		}
	}
	if !r.traits.Measures {
		return nil
	}
	for i := range startReadings {
		r.launches.MeasureStart()
		if err := r.waitFor(ctx, func() bool { return len(r.launches.Starts()) > i }); err != nil {
			return err
		}
	}
	r.toolTime = r.launches.ToolStart()
	return nil
}

// waitFor reads until something has happened.
func (r *openRun) waitFor(ctx context.Context, happened func() bool) error {
	timer := time.NewTimer(prepareTimeout)
	defer timer.Stop()
	over := false
	for {
		if _, err := r.launches.Read(time.Now()); err != nil {
			return err
		}
		if happened() {
			return nil
		}
		if over {
			return r.launches.Ended()
		}
		select {
		case <-r.launches.Ready():
		case <-r.launches.Done():
			over = true
		case <-timer.C:
			return fmt.Errorf("the pod did not get ready in %s", prepareTimeout)
		case <-ctx.Done():
			return wire.ErrInterrupted
		}
	}
}

const prepareTimeout = 30 * time.Second
