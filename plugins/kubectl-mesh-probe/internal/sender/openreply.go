package sender

import (
	"bytes"
	"math"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// reply reads the result of one request of the open loop.
func (r *openRun) reply(o *wire.Launch, f flight) (reply.Reply, error) {
	o.Limited = o.Limited || len(o.Output) >= wire.MaxOutput
	if bytes.HasSuffix(o.Output, []byte("\r\n\r")) {
		o.Output = append(o.Output, '\n') // a shell removes line breaks at the end
	}
	block := reply.Block{
		Data: o.Output, Size: len(o.Output), Errs: o.Errs, Requests: 1, Code: o.Code, Killed: !f.stopped.IsZero() && o.Code != 0,
		// A shell keeps no NUL bytes, so the length of a body proves nothing. The tool itself reports a body that ended early.
		Trimmed:  o.Limited || o.Code == 0,
		Verifies: r.Target.TLS() && !r.Insecure, BodyLimit: r.BodyLimit,
	}
	if o.Limited && block.Size >= r.BodyLimit && !block.Killed {
		block.Code = 0 // the server was answering, and the tool failed only because nobody read the rest
	}
	if rec, ok := lastRecord(o.Errs, r.mark); ok {
		rec.Data = o.Output
		block.Records, block.Record, block.Data, block.Size = 1, &rec, nil, 0
	} else if rec, ok := lastRecord(o.Output, r.mark); ok {
		block.Records, block.Record, block.Data, block.Size = 1, &rec, nil, 0
	}
	cut, err := r.tool.Cut(block)
	if err != nil {
		return reply.Reply{}, err
	}
	one := reply.Reply{Class: reply.ClassTool, Message: "cannot parse the tool's output"}
	if len(cut.Replies) == 1 {
		one = cut.Replies[0]
	}
	if o.Limited && one.Class == reply.ClassTruncated && one.Size >= r.BodyLimit {
		one.Class, one.Message = "", "" // the plugin cut it off
		one.Classify()
	}
	f.times(&one, o, r.launches.Offset(), r.toolTime)
	return one, nil
}

// lastRecord finds the record that the tool printed behind its reply.
func lastRecord(output []byte, marker string) (reply.Record, bool) {
	at := bytes.LastIndex(output, []byte(marker+" "))
	if at < 0 {
		return reply.Record{}, false
	}
	line, _, _ := bytes.Cut(output[at+len(marker)+1:], []byte("\n"))
	_, text, _ := bytes.Cut(line, []byte(" ")) // without the verb
	return reply.Record{Text: string(text), Data: output[:at], Size: math.MaxInt}, true
}

// times sets when the request should have started and when it did. The tool was running from Began to Finished by the pod's clock. A tool
// that measures the request itself leaves open when in that time the request took place. Any other tool is measured from its start to
// its end. If the pod has no clock, or if its clock was set, the request started between the order and the report of its start, and it ended before its
// result arrived.
func (f flight) times(one *reply.Reply, o *wire.Launch, offset wire.Offset, toolTime time.Duration) {
	one.Due = f.due
	took := time.Duration(o.Finished-o.Began) * time.Microsecond
	latest := o.Seen
	// A request does not start before its order or after the report of its start, and does not end after its result arrived.
	if o.Began > 0 && took >= 0 && offset.Known() && offset.Allows(o.Began, o.Ordered, o.Seen) && offset.Allows(o.Finished, o.Ordered, o.Arrived) {
		if !one.Measured {
			one.Latency, one.Measured = took, true
		}
		began, slack := offset.Local(o.Began), max(0, took-one.Latency)
		one.Start, one.Uncertain = began.Add(-offset.Error()), slack+2*offset.Error()
		latest = began.Add(slack)
		// The difference of two times of the pod's clock is exact, unless the clock was set between the order and the start. A better measurement since
		// the order is not such a step.
		if start := f.due.Add(-toolTime); f.at > 0 && offset.Allows(f.at, start.Add(-f.wrong), start.Add(f.wrong)) {
			latest = start.Add(time.Duration(o.Began-f.at)*time.Microsecond + slack)
		}
	} else {
		one.Start = o.Ordered
		if one.Measured {
			latest = o.Arrived.Add(-one.Latency)
		} else {
			one.Latency = max(0, o.Arrived.Sub(one.Start))
		}
		one.Uncertain = max(0, latest.Sub(one.Start))
	}
	one.Lag = max(0, latest.Sub(f.due))
}
