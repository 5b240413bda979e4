package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// order is one block that was sent to the pod.
type order struct {
	id      int
	n       int
	capped  bool // its output is cut in the pod
	begun   time.Time
	moved   time.Time    // when the last byte came
	stopped bool         // we asked the pod to end it
	huge    bool         // because its body has no end in sight
	got     int          // replies that curl's records brought so far
	record  *frame       // the record of a curl that does not tell its exit code
	held    *reply.Reply // the last reply of a curl, until its exit code is known
	end     *frame       // the end of its standard output
	errs    []byte       // its standard error, once errsEnd is true
	errsEnd bool
	toolRC  *int // the tool's exit code, where the shell's is another program's
}

// run is the state of one stream's run: which orders are under way and how large the next one may be.
type run struct {
	*stream
	plan   plan
	budget *budget
	sink   func(reply.Reply)

	open     []*order
	next     int
	finished int
	size     int  // of the next order
	most     int  // a larger order is not tried
	capped   bool // bodies are large: cut them in the pod
	trailer  int  // blocks the pod says it has finished; -1 before it says so

	total   int64 // bytes that had come at the last look, on both streams
	heard   time.Time
	beatAt  time.Time
	wakeAt  time.Time // when the budget allows more
	quit    bool      // the last order was sent
	giveUp  time.Time // when an orderly end is no longer waited for
	late    bool      // a stop came after its block had ended, and may hit another one
	pending int       // bytes of the block under way at the last look
}

// run sends orders until the budget is used up and reads the replies. Its error says why the run is incomplete.
func (s *stream) run(ctx context.Context, p plan, b *budget, sink func(reply.Reply)) error {
	now := time.Now()
	r := &run{stream: s, plan: p, budget: b, sink: sink, size: 1, most: 1, trailer: -1, heard: now, beatAt: now.Add(beatEvery)}
	if p.tool.Many {
		r.most = maxList
		if p.glob {
			r.most = maxGlob
		}
	}
	s.in.send(p.lines()...)
	err := r.loop(ctx)
	for _, o := range r.open {
		if o.held != nil {
			r.count(*o.held)
		}
	}
	s.in.close()
	if err == nil {
		// Everything was counted; the exec may take a moment to end.
		select {
		case <-s.done:
		case <-time.After(stopTimeout):
		}
	}
	s.abort()
	return err
}

func (r *run) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	over, interrupted := false, ctx.Done()
	for {
		if err := r.read(r.out.take(), r.errOut.take()); err != nil {
			return err
		}
		if r.trailer >= 0 {
			return r.check(ctx)
		}
		if over {
			return r.ended("")
		}
		now := time.Now()
		if !r.giveUp.IsZero() && now.After(r.giveUp) {
			return errInterrupted
		}
		if err := r.watch(now); err != nil {
			return err
		}
		if r.giveUp.IsZero() {
			r.send(now)
		}
		timer.Reset(r.sleep(now))
		select {
		case <-r.out.ready:
		case <-timer.C:
		case <-r.done:
			over = true
		case <-interrupted:
			interrupted = nil
			r.in.send("X")
			r.giveUp = time.Now().Add(stopTimeout)
		}
	}
}

// check compares what was ordered with what the trailer says.
func (r *run) check(ctx context.Context) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	if !r.quit || len(r.open) > 0 || r.trailer != r.finished {
		return fmt.Errorf("the pod ended the run early, after %d blocks", r.trailer)
	}
	return nil
}

// send tops up the orders, so that the pod has the next one when it ends one.
func (r *run) send(now time.Time) {
	window := max(2, 32/max(1, r.size))
	if r.finished == 0 {
		window = 1 // the first reply teaches what to expect
	}
	for !r.quit && len(r.open) < window {
		n, wait, done := r.budget.take(r.size)
		if n == 0 && !done {
			r.wakeAt = now.Add(wait)
			return
		}
		if done {
			// Orders under way may give requests back.
			if len(r.open) == 0 {
				r.quit = true
				r.in.send("Q")
			}
			return
		}
		r.next++
		o := &order{id: r.next, n: n, capped: r.capped}
		if o.capped {
			r.budget.giveBack(n - 1) // one process for each request
			o.n = 1
			r.in.send(fmt.Sprintf("S %d %d", o.id, r.plan.cfg.BodyLimit+hugeHeader))
		} else {
			r.in.send(fmt.Sprintf("R %d %d", o.id, n))
		}
		r.open = append(r.open, o)
	}
}

// hugeHeader is room for a reply's header where the pod cuts the output.
const hugeHeader = 16 << 10

// sleep returns when to look again, even if nothing comes.
func (r *run) sleep(now time.Time) time.Duration {
	at := r.beatAt
	if r.wakeAt.After(now) && r.wakeAt.Before(at) {
		at = r.wakeAt
	}
	if !r.giveUp.IsZero() && r.giveUp.Before(at) {
		at = r.giveUp
	}
	if len(r.open) > 0 && !r.open[0].begun.IsZero() {
		if t := r.open[0].moved.Add(r.patience()); t.Before(at) {
			at = t
		}
	}
	return max(time.Millisecond, at.Sub(now))
}

// patience is how long a block may stay silent. A tool that limits the time itself
// may do so for name, connection and reply in turn.
func (r *run) patience() time.Duration {
	if r.plan.tool.Timeout {
		return 2*r.plan.cfg.Timeout + 2*time.Second
	}
	return r.plan.cfg.Timeout
}

// watch sends heartbeats and ends what does not move.
func (r *run) watch(now time.Time) error {
	if now.Sub(r.heard) > silence {
		return errors.New("the exec stream was lost: the pod has not answered for " + silence.String())
	}
	if !now.Before(r.beatAt) {
		r.in.send("P")
		r.beatAt = now.Add(beatEvery)
	}
	if len(r.open) == 0 || r.open[0].begun.IsZero() {
		return nil
	}
	o := r.open[0]
	switch quiet := now.Sub(o.moved); {
	case !o.stopped && quiet >= r.patience():
		o.stopped, o.moved = true, now
		r.in.send("K")
	case o.stopped && quiet > 2*r.patience()+10*time.Second:
		return errors.New("the pod does not end a request that was stopped")
	}
	return nil
}
