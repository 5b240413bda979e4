package probe

import (
	"cmp"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// finish takes in a block that has ended.
func (r *run) finish(o *order, f frame, rc int, now time.Time) error {
	byUs := o.stopped && !o.huge
	b := reply.Block{
		Data: f.data, Size: f.size, Errs: o.errs, Requests: o.n, Code: rc, BodyLimit: r.plan.cfg.BodyLimit,
		Killed: byUs && rc != 0, Cancelled: !r.giveUp.IsZero() && rc >= 128, Trimmed: o.huge || o.capped,
		Bare: !r.plan.tool.Headers, Verifies: r.plan.cfg.Target.TLS() && !r.plan.cfg.Insecure,
	}
	if o.huge || o.capped && f.size >= r.plan.cfg.BodyLimit && rc != 0 && !b.Killed && !b.Cancelled {
		b.Code = 0 // it was answering well, and could not go on because nobody listened
	}
	if r.late && rc >= 128 && !o.stopped {
		b.Killed = true
	}
	var c reply.Cut
	switch {
	case o.record != nil:
		one, err := reply.CutCurl(o.record.record(), r.plan.cfg.BodyLimit, rc)
		if err != nil {
			return err
		}
		one.Message = cmp.Or(reply.CurlMessage(o.errs), one.Message)
		c.Replies = []reply.Reply{one}
	case r.plan.glob:
		c = r.rest(o, b)
	default:
		c = r.plan.cut(b)
	}
	if r.late && rc >= 128 && !o.stopped && len(c.Replies) > 0 {
		// Stopped in place of the block before: its last request is asked again.
		c.Replies = c.Replies[:len(c.Replies)-1]
		c.Unsent++
		r.late = false
	}
	if o.stopped && rc < 128 {
		r.late = true
	}
	r.settle(o, c, now)
	return nil
}

// rest is what a curl left behind its last record: nothing, or the request in which it was stopped.
func (r *run) rest(o *order, b reply.Block) reply.Cut {
	missing := o.n - o.got
	c := reply.Cut{}
	if o.held != nil {
		c.Replies = []reply.Reply{*o.held}
		if missing <= 0 && b.Code != 0 {
			// The exit code is that of the last request, which has told its own; any other is a crash, or a wrapper's.
			c = c.Crashed(b)
		}
		c.Unsent = 0
	}
	if missing <= 0 {
		return c
	}
	last := reply.Block{
		Data: b.Data, Size: b.Size, Errs: b.Errs, Requests: missing, Code: b.Code, BodyLimit: b.BodyLimit, Killed: b.Killed, Cancelled: b.Cancelled, Trimmed: b.Trimmed,
	}
	var end reply.Cut
	if b.Trimmed {
		last.Requests = 1
		end = reply.CutRaw(last)
		end.Unsent = missing - len(end.Replies)
	} else {
		end = end.InFlight(last, reply.Reply{Message: reply.CurlMessage(b.Errs)})
	}
	c.Replies, c.Unsent = append(c.Replies, end.Replies...), end.Unsent
	return c
}

// settle counts a block's replies and chooses the size of the next ones.
func (r *run) settle(o *order, c reply.Cut, now time.Time) {
	if c.Unclear {
		if o.n > 1 {
			// Counting only the replies that can be cut would favour some backends: ask all of them again, one by one.
			r.warn("the output of several requests could not be told apart, for example because replies have no Content-Length: from then on each request was a process of its own")
			r.most, r.size = 1, 1
			r.budget.sendAgain(o.n)
			return
		}
		c = reply.Cut{Replies: []reply.Reply{{Class: reply.ClassTool, Message: "the tool's output was not understood"}}}
	}
	failed := false
	for i := range c.Replies {
		one := &c.Replies[i]
		if (o.huge || o.capped) && one.Class == reply.ClassTruncated && one.Size >= r.plan.cfg.BodyLimit {
			one.Class, one.Message = "", "" // we cut it
			one.Classify()
		}
		failed = failed || one.Status == 0 && one.Class != ""
		r.count(*one)
	}
	r.budget.giveBack(c.Unsent)

	per := now.Sub(o.begun) / time.Duration(max(1, o.n-c.Unsent))
	target := max(1, min(r.most, int(blockTime/max(per, time.Microsecond))))
	if failed {
		r.size = max(1, min(r.size/2, target))
	} else {
		r.size = min(max(1, r.size*4), target)
	}
	if c.Unsent > 0 {
		// The tool ends at the first error: do not give it many more than it is likely to send.
		r.size = min(r.size, 2*max(1, o.n-c.Unsent))
	}
	if r.capped {
		r.size = 1
	}
}

// count hands a one on and learns from it.
func (r *run) count(one reply.Reply) {
	if _, known := one.Length(); !known && one.Status != 0 && one.Class == "" && r.plan.tool.Kind == KindBusybox {
		r.most = 1
		r.size = 1
	}
	if one.Size > r.plan.cfg.BodyLimit && r.plan.box.Head {
		r.capped = true
	}
	if one.Redirected {
		r.warn("the Service answers with redirects, and %s follows them: each hop is a connection of its own, the last one is counted", r.plan.tool.Kind)
	}
	if one.Reused {
		r.warn("some requests went over an earlier connection, so no backend was picked for them")
	}
	r.sink(one)
}
