package probe

import (
	"cmp"
	"time"
)

// finish takes in a block that has ended.
func (r *run) finish(o *order, f frame, rc int, now time.Time) error {
	byUs := o.stopped && !o.huge
	b := block{
		data: f.data, size: f.size, errs: o.errs, n: o.n, rc: rc, limit: r.plan.cfg.BodyLimit,
		killed: byUs && rc != 0, cancelled: !r.giveUp.IsZero() && rc >= 128, trimmed: o.huge || o.capped,
		bare: !r.plan.tool.Headers, verifies: r.plan.cfg.Target.TLS() && !r.plan.cfg.Insecure,
	}
	if o.huge || o.capped && f.size >= r.plan.cfg.BodyLimit && rc != 0 && !b.killed && !b.cancelled {
		b.rc = 0 // it was answering well, and could not go on because nobody listened
	}
	if r.late && rc >= 128 && !o.stopped {
		b.killed = true
	}
	var c cut
	switch {
	case o.record != nil:
		reply, err := cutCurl(*o.record, r.plan.cfg.BodyLimit, rc)
		if err != nil {
			return err
		}
		reply.Message = cmp.Or(curlSaid(o.errs), reply.Message)
		c.replies = []Reply{reply}
	case r.plan.glob:
		c = r.rest(o, b)
	default:
		c = r.plan.cut(b)
	}
	if r.late && rc >= 128 && !o.stopped && len(c.replies) > 0 {
		// Stopped in place of the block before: its last request is asked again.
		c.replies = c.replies[:len(c.replies)-1]
		c.unsent++
		r.late = false
	}
	if o.stopped && rc < 128 {
		r.late = true
	}
	r.settle(o, c, now)
	return nil
}

// rest is what a curl left behind its last record: nothing, or the request in which it was stopped.
func (r *run) rest(o *order, b block) cut {
	missing := o.n - o.got
	c := cut{}
	if o.held != nil {
		c.replies = []Reply{*o.held}
		if missing <= 0 && b.rc != 0 {
			// The exit code is that of the last request, which has told its own; any other is a crash, or a wrapper's.
			c = c.crashed(b)
		}
		c.unsent = 0
	}
	if missing <= 0 {
		return c
	}
	last := block{
		data: b.data, size: b.size, errs: b.errs, n: missing, rc: b.rc, limit: b.limit, killed: b.killed, cancelled: b.cancelled, trimmed: b.trimmed,
	}
	var end cut
	if b.trimmed {
		last.n = 1
		end = cutRaw(last)
		end.unsent = missing - len(end.replies)
	} else {
		end = end.inFlight(last, Reply{Message: curlSaid(b.errs)})
	}
	c.replies, c.unsent = append(c.replies, end.replies...), end.unsent
	return c
}

// settle counts a block's replies and chooses the size of the next ones.
func (r *run) settle(o *order, c cut, now time.Time) {
	if c.unclear {
		if o.n > 1 {
			// Counting only the replies that can be cut would favour some backends: ask all of them again, one by one.
			r.warn("the output of several requests could not be told apart, for example because replies have no Content-Length: from then on each request was a process of its own")
			r.most, r.size = 1, 1
			r.budget.sendAgain(o.n)
			return
		}
		c = cut{replies: []Reply{{Class: ClassTool, Message: "the tool's output was not understood"}}}
	}
	failed := false
	for i := range c.replies {
		reply := &c.replies[i]
		if (o.huge || o.capped) && reply.Class == ClassTruncated && reply.Size >= r.plan.cfg.BodyLimit {
			reply.Class, reply.Message = "", "" // we cut it
			reply.classify()
		}
		failed = failed || reply.Status == 0 && reply.Class != ""
		r.count(*reply)
	}
	r.budget.giveBack(c.unsent)

	per := now.Sub(o.begun) / time.Duration(max(1, o.n-c.unsent))
	target := max(1, min(r.most, int(blockTime/max(per, time.Microsecond))))
	if failed {
		r.size = max(1, min(r.size/2, target))
	} else {
		r.size = min(max(1, r.size*4), target)
	}
	if c.unsent > 0 {
		// The tool ends at the first error: do not give it many more than it is likely to send.
		r.size = min(r.size, 2*max(1, o.n-c.unsent))
	}
	if r.capped {
		r.size = 1
	}
}

// count hands a reply on and learns from it.
func (r *run) count(reply Reply) {
	if _, known := reply.length(); !known && reply.Status != 0 && reply.Class == "" && r.plan.tool.Kind == KindBusybox {
		r.most = 1
		r.size = 1
	}
	if reply.Size > r.plan.cfg.BodyLimit && r.plan.box.Head {
		r.capped = true
	}
	if reply.Redirected {
		r.warn("the Service answers with redirects, and %s follows them: each hop is a connection of its own, the last one is counted", r.plan.tool.Kind)
	}
	if reply.Reused {
		r.warn("some requests went over an earlier connection, so no backend was picked for them")
	}
	r.sink(reply)
}
