package probe

import (
	"bytes"
	"strings"
	"time"
)

// finish takes in a block that has ended.
func (r *run) finish(o *order, f frame, rc int, now time.Time) error {
	byUs := o.stopped && !o.huge
	var c cut
	switch {
	case o.record != nil:
		reply, err := cutCurl(*o.record, r.plan.cfg.BodyLimit, rc)
		if err != nil {
			return err
		}
		c.replies = []Reply{reply}
	case r.plan.glob:
		c = r.rest(o, f, rc, byUs)
	default:
		b := block{data: f.data, size: f.size, n: o.n, rc: rc, killed: byUs && rc != 0, single: o.n == 1, limit: r.plan.cfg.BodyLimit}
		switch {
		case o.huge:
			b.rc = 0 // it was answering well
		case o.capped && rc == 0 && !bytes.HasPrefix(f.data, []byte("  HTTP/")) && !bytes.HasPrefix(f.data, []byte("HTTP/")):
			b.rc = 1 // the code is head's
		case r.late && rc >= 128 && !o.stopped:
			b.killed = true
		}
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
func (r *run) rest(o *order, f frame, rc int, byUs bool) cut {
	missing := o.n - o.got
	if missing <= 0 {
		return cut{}
	}
	c := cut{unsent: missing - 1}
	switch {
	case byUs:
		c.replies = []Reply{timedOut(Reply{})}
	case o.huge, o.capped, r.late && rc >= 128:
		c = cutRaw(block{data: f.data, size: f.size, n: 1, rc: rc, limit: r.plan.cfg.BodyLimit})
		c.unsent = missing - 1
	default:
		text, _, _ := strings.Cut(strings.TrimSpace(string(f.data[:min(len(f.data), 200)])), "\n")
		if text == "" {
			text = toolEnded(rc)
		}
		c.replies = []Reply{{Class: ClassTool, Message: text}}
	}
	return c
}

// settle counts a block's replies and chooses the size of the next ones.
func (r *run) settle(o *order, c cut, now time.Time) {
	if c.unclear {
		if o.n > 1 {
			// Counting only the replies that can be cut would favour some backends: ask all of them again, one by one.
			r.warn("some replies have no Content-Length: from then on each request was a process of its own")
			r.most, r.size = 1, 1
			r.budget.giveBack(o.n)
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
