package sender

import (
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// finish cuts and counts the replies of a batch that has ended.
func (r *run) finish(b *wire.Batch, end *wire.End, now time.Time) error {
	cur := r.current
	r.current = current{}
	block := r.block(b, end, cur)
	hitByLateStop := r.late && end.Code >= 128 && !cur.stopped
	if hitByLateStop {
		block.Killed = true
	}
	cut, err := r.cut(block, end)
	if err != nil {
		return err
	}
	if hitByLateStop && len(cut.Replies) > 0 {
		// The stop was meant for the batch before. Send the last request again.
		cut.Replies = cut.Replies[:len(cut.Replies)-1]
		cut.Unsent++
		r.late = false
	}
	if cur.stopped && end.Code < 128 {
		r.late = true
	}
	if cur.records == 0 {
		cur.starts.next = b.Begun
	}
	cur.starts.replies(cut.Replies, now)
	r.pace.measureSize(cur.bytes+end.Printed, b.Requests-cut.Unsent)
	r.settle(b, cut, cur.huge || b.Limited, now)
	return nil
}

// cut finds the replies of a batch that has ended. Those of a packed batch have records if the tool prints them.
func (r *run) cut(block reply.Block, end *wire.End) (reply.Cut, error) {
	var before []reply.Reply
	if n := len(end.Records); n > 0 {
		for i := range end.Records[:n-1] {
			one, err := r.tool.Record(record(&end.Records[i]), r.BodyLimit)
			if err != nil {
				return reply.Cut{}, err
			}
			before = append(before, one)
		}
		last := record(&end.Records[n-1])
		block.Records, block.Record = n, &last
	}
	cut, err := r.tool.Cut(block)
	cut.Replies = append(before, cut.Replies...)
	return cut, err
}

// block is what the batch printed, for the tool to cut.
func (r *run) block(b *wire.Batch, end *wire.End, cur current) reply.Block {
	block := reply.Block{
		Data: end.Output.Data, Size: end.Output.Size, Errs: end.Errs, Requests: b.Requests, Code: end.Code,
		Records: cur.records,
		Killed:  cur.stopped && !cur.huge && end.Code != 0, Cancelled: r.interrupted() && end.Code >= 128, Trimmed: cur.huge || b.Limited,
		Verifies: r.Target.TLS() && !r.Insecure, BodyLimit: r.BodyLimit,
	}
	if cur.last != nil {
		last := record(cur.last)
		block.Record = &last
	}
	if end.Full {
		// The pod ended it, and the request in flight did not fail. Later batches are sent without a limit.
		block.Killed, block.Cancelled, block.Code = false, true, max(block.Code, 128)
		r.pace.whole = true
	}
	if cur.huge || b.Limited && block.Size >= r.BodyLimit && block.Code != 0 && !block.Killed && !block.Cancelled {
		block.Code = 0 // the server was answering, and the tool failed only because nobody read the rest
	}
	return block
}

// settle counts the replies of a batch and adapts the pace. trimmed says that the plugin limited the output.
func (r *run) settle(b *wire.Batch, cut reply.Cut, trimmed bool, now time.Time) {
	if cut.Unclear {
		if b.Requests > 1 {
			// Counting only the replies that can be cut would favour some backends. Send all of them again, one by one.
			r.warned.add("the replies to several requests could not be told apart, for example because they have no Content-Length: since then each request had its own process")
			r.pace.single()
			r.budget.sendAgain(b.Requests)
			return
		}
		cut = reply.Cut{Replies: []reply.Reply{{Class: reply.ClassTool, Message: "cannot parse the tool's output"}}}
	}
	failed := false
	for _, one := range cut.Replies {
		if trimmed && one.Class == reply.ClassTruncated && one.Size >= r.BodyLimit {
			one.Class, one.Message = "", "" // the plugin cut it off
			one.Classify()
		}
		failed = failed || !one.Answered() && one.Class != ""
		r.count(b, one)
	}
	r.budget.giveBack(cut.Unsent)
	r.pace.ended(b.Requests, b.Requests-cut.Unsent, now.Sub(b.Begun), failed)
}
