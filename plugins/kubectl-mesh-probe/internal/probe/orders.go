package probe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// order is one block that was sent to the pod.
type order struct {
	id      int
	n       int
	capped  bool // its output is cut in the pod
	begun   time.Time
	moved   time.Time // when the last byte came
	stopped bool      // we asked the pod to end it
	huge    bool      // because its body has no end in sight
	got     int       // replies that curl's records brought so far
	record  *frame    // the record of a curl that does not tell its exit code
}

// run is the state of one stream's run: which orders are under way and how large the next one may be.
type run struct {
	*stream
	plan   plan
	budget *budget
	sink   func(Reply)

	open     []*order
	next     int
	finished int
	size     int  // of the next order
	most     int  // a larger order is not tried
	capped   bool // bodies are large: cut them in the pod
	trailer  int  // blocks the pod says it has finished; -1 before it says so

	total   int64 // bytes that had come at the last look
	heard   time.Time
	beatAt  time.Time
	wakeAt  time.Time // when the budget allows more
	quit    bool      // the last order was sent
	giveUp  time.Time // when an orderly end is no longer waited for
	late    bool      // a stop came after its block had ended, and may hit another one
	pending int       // bytes of the block under way at the last look
}

// run sends orders until the budget is used up and reads the replies. Its error says why the run is incomplete.
func (s *stream) run(ctx context.Context, p plan, b *budget, sink func(Reply)) error {
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
		if err := r.read(r.out.take()); err != nil {
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
			r.budget.giveBack(n - 1) // one process each
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

// read takes in what has come.
func (r *run) read(n news) error {
	now := time.Now()
	if n.total != r.total {
		r.total, r.heard = n.total, now
	}
	for _, f := range n.frames {
		if err := r.frame(f, now); err != nil {
			return err
		}
	}
	if n.err != nil {
		return n.err
	}
	if len(r.open) == 0 || r.open[0].begun.IsZero() {
		return nil
	}
	o := r.open[0]
	if n.pending != r.pending {
		r.pending, o.moved = n.pending, now
	}
	if limit := hugeBody * o.n; n.pending > limit && !o.stopped && r.plan.box.Head {
		o.stopped, o.huge, o.moved = true, true, now
		r.capped = true
		r.in.send("K")
	}
	return nil
}

func (r *run) frame(f frame, now time.Time) error {
	switch f.verb {
	case 'W': // the worker is ready
		return nil
	case 'Z':
		n, err := strconv.Atoi(f.rest)
		if err != nil || n < 0 {
			return fmt.Errorf("the pod's output is broken: trailer %q", f.rest)
		}
		r.trailer = n
		return nil
	}
	if len(r.open) == 0 {
		return fmt.Errorf("the pod's output is broken: %q outside a block", string(f.verb))
	}
	o := r.open[0]
	o.moved = now
	switch f.verb {
	case 'B':
		if f.rest != strconv.Itoa(o.id) {
			return fmt.Errorf("the pod's output is broken: block %s begins, %d was next", f.rest, o.id)
		}
		o.begun = now
		return nil
	case 'C':
		if !r.plan.tool.Many {
			o.record = &f
			return nil
		}
		reply, err := cutCurl(f, r.plan.cfg.BodyLimit, 0)
		if err != nil {
			return err
		}
		o.got++
		r.count(reply)
		return nil
	case 'E':
		if len(f.args) != 2 || f.args[0] != strconv.Itoa(o.id) || o.begun.IsZero() {
			return fmt.Errorf("the pod's output is broken: end %q of block %d", f.rest, o.id)
		}
		rc, err := strconv.Atoi(f.args[1])
		if err != nil {
			return fmt.Errorf("the pod's output is broken: end %q of block %d", f.rest, o.id)
		}
		r.open = r.open[1:]
		r.finished++
		return r.finish(o, f, rc, now)
	}
	return fmt.Errorf("the pod's output is broken: unknown line %q", string(f.verb)+" "+f.rest)
}
