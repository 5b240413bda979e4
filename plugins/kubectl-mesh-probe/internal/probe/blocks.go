package probe

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// read takes in what has come on the pod's two streams.
func (r *run) read(n, errs news) error {
	now := time.Now()
	if total := n.total + errs.total; total != r.total {
		r.total, r.heard = total, now
	}
	// Their order is not known, so a block ends when its end has come on both.
	for len(n.frames)+len(errs.frames) > 0 {
		progress := false
		for len(n.frames) > 0 && (len(r.open) == 0 || r.open[0].end == nil) {
			if err := r.frame(n.frames[0], now); err != nil {
				return err
			}
			n.frames, progress = n.frames[1:], true
		}
		for len(errs.frames) > 0 && (len(r.open) == 0 || !r.open[0].errsEnd) {
			if err := r.errFrame(errs.frames[0], now); err != nil {
				return err
			}
			errs.frames, progress = errs.frames[1:], true
		}
		if len(r.open) > 0 && r.open[0].end != nil && r.open[0].errsEnd {
			if err := r.close(r.open[0], now); err != nil {
				return err
			}
			progress = true
		}
		if !progress {
			break
		}
	}
	r.out.putBack(n.frames)
	r.errOut.putBack(errs.frames)
	if err := cmp.Or(n.err, errs.err); err != nil {
		return err
	}
	if len(r.open) == 0 || r.open[0].begun.IsZero() {
		return nil
	}
	o := r.open[0]
	if pending := n.pending + errs.pending; pending != r.pending {
		r.pending, o.moved = pending, now
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
		one, err := reply.CutCurl(f.record(), r.plan.cfg.BodyLimit, 0)
		if err != nil {
			return err
		}
		o.got++
		if o.held != nil {
			r.count(*o.held)
		}
		o.held = &one
		return nil
	case 'E':
		if len(f.args) != 2 || f.args[0] != strconv.Itoa(o.id) || o.begun.IsZero() {
			return fmt.Errorf("the pod's output is broken: end %q of block %d", f.rest, o.id)
		}
		o.end = &f
		return nil
	}
	return fmt.Errorf("the pod's output is broken: unknown line %q", string(f.verb)+" "+f.rest)
}

// errFrame takes a framing line of standard error.
func (r *run) errFrame(f frame, now time.Time) error {
	if f.verb == 'W' {
		return nil // what the shell said before it became the worker
	}
	if len(r.open) == 0 {
		return fmt.Errorf("the pod's error output is broken: %q outside a block", string(f.verb))
	}
	o := r.open[0]
	o.moved = now
	o.errs = append(o.errs, f.data...)
	switch f.verb {
	case 'T':
		rc, err := strconv.Atoi(f.rest)
		if err != nil {
			return fmt.Errorf("the pod's error output is broken: exit code %q", f.rest)
		}
		o.toolRC = &rc
		return nil
	case 'E':
		if f.rest != strconv.Itoa(o.id) {
			return fmt.Errorf("the pod's error output is broken: block %s ends, %d was next", f.rest, o.id)
		}
		o.errsEnd = true
		return nil
	}
	return fmt.Errorf("the pod's error output is broken: unknown line %q", string(f.verb)+" "+f.rest)
}

// close ends a block that has ended on both streams.
func (r *run) close(o *order, now time.Time) error {
	rc, err := strconv.Atoi(o.end.args[1])
	if err != nil {
		return fmt.Errorf("the pod's output is broken: end %q of block %d", o.end.rest, o.id)
	}
	if o.toolRC != nil {
		rc = *o.toolRC
	}
	r.open = r.open[1:]
	r.finished++
	return r.finish(o, *o.end, rc, now)
}
