package sender

import (
	"context"
	"errors"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

const (
	// hugeBody is the minimum size of a reply that is ended early. The pod then limits the output of later requests.
	hugeBody = 256 << 10
	// headerRoom is how many bytes the pod passes on for a header if it limits the output.
	headerRoom = 16 << 10
	// minPacked is how many requests a batch has at least if the pod compresses its output. For fewer, two processes more cost more than they save.
	minPacked = 16
	// askPart is how often the pod is asked whether a packed batch makes progress, before the batch is ended.
	askPart = 4
)

// run sends the requests of one stream.
type run struct {
	job
	ending

	batches *wire.Batches
	budget  *budget
	pace    pace
	current current
	sink    func(reply.Reply)
	warned  notes

	wakeAt time.Time // when the budget allows more requests
	late   bool      // a stop was sent after its batch had ended, and may hit the next one
}

// current is the state of the batch that the pod works on.
type current struct {
	records int         // how many records the tool has printed
	bytes   int         // how much it has printed before the last record
	last    *wire.Frame // the last of them. It is read when the next one arrives, or when the batch has ended.
	arrived time.Time   // when the last of them arrived
	starts  starts
	stopped bool // the plugin asked the pod to end it
	huge    bool // it was stopped because its body is too large
}

// maxWords is how many bytes the URLs of a command line may have. Linux allows 128 KiB in the worst case, with the environment.
const maxWords = 64 << 10

func newRun(s *wire.Stream, j job, b *budget, sink func(reply.Reply)) *run {
	program, most := j.tool.Program(j.Request, s.Nonce()), j.traits.MaxBatch
	if !program.Expand {
		most = min(most, max(1, maxWords/(len(program.URL)+1)))
	}
	return &run{job: j, batches: s.Start(program, j.pod), budget: b, pace: newPace(most), sink: sink, warned: notes{}}
}

// run sends batches until the budget is used up. Its error says why the run is incomplete.
func (r *run) run(ctx context.Context) error {
	err := r.loop(ctx, r.batches, r, nil)
	if b := r.batches.Current(); b != nil && r.current.last != nil {
		if one, e := r.tool.Record(record(r.current.last), r.BodyLimit); e == nil {
			r.current.starts.measured(&one, r.current.arrived)
			r.count(b, one)
		}
	}
	r.batches.Close(err == nil)
	return err
}

// idle processes what the pod prints before the first order.
func (r *run) idle(now time.Time) error {
	_, err := r.batches.Read(now)
	return err
}

// read processes what the pod has printed.
func (r *run) read() error {
	now := time.Now()
	events, broken := r.batches.Read(now)
	for _, e := range events {
		var err error
		if e.Record != nil {
			err = r.record(e.Batch, e.Record, now)
		} else {
			err = r.finish(e.Batch, e.End, now)
		}
		if err != nil {
			return err
		}
	}
	if broken != nil {
		return broken
	}
	b := r.batches.Current()
	if b != nil && !r.current.stopped && r.pod.Head && r.batches.Output() > hugeBody*b.Requests {
		r.current.stopped, r.current.huge, b.Moved = true, true, now
		r.pace.limited = true
		r.batches.Stop()
	}
	return nil
}

// record keeps a record, and reads the one before it.
func (r *run) record(b *wire.Batch, f *wire.Frame, now time.Time) error {
	previous, arrived := r.current.last, r.current.arrived
	r.current.records++
	r.current.bytes += f.Size + len(f.Text)
	r.current.last, r.current.arrived = f, now
	if previous == nil {
		r.current.starts.next = b.Begun
		return nil
	}
	one, err := r.tool.Record(record(previous), r.BodyLimit)
	if err != nil {
		return err
	}
	r.current.starts.measured(&one, arrived)
	r.count(b, one)
	return nil
}

func record(f *wire.Frame) reply.Record {
	return reply.Record{Text: f.Text, Data: f.Data, Size: f.Size}
}

// send orders batches, so that the pod has the next one when it ends one.
func (r *run) send(now time.Time) {
	r.pace.packs = r.batches.Packs()
	for !r.batches.Quitting() && r.batches.Len() < r.pace.window() {
		n, wait, done := r.budget.take(r.pace.size, r.pace.least())
		switch {
		case done:
			// A batch that has not ended may give requests back.
			if r.batches.Len() == 0 {
				r.batches.Quit()
			}
			return
		case n == 0:
			r.wakeAt = now.Add(wait)
			return
		case r.pace.limited:
			r.budget.giveBack(n - 1) // each request has its own process
			r.batches.SendLimited(r.BodyLimit + headerRoom)
		case n >= minPacked && r.pace.packs && !r.pace.whole:
			r.batches.SendPacked(n)
		default:
			r.batches.Send(n)
		}
	}
}

// sleep returns how long to wait if nothing arrives.
func (r *run) sleep(now time.Time) time.Duration {
	at := r.batches.NextBeat()
	if r.wakeAt.After(now) && r.wakeAt.Before(at) {
		at = r.wakeAt
	}
	if b := r.batches.Current(); b != nil {
		patience := r.patience()
		if step := patience / askPart; b.Packed {
			patience = min(patience, now.Sub(b.Moved).Truncate(step)+step) // then ask how much it has written
		}
		if t := b.Moved.Add(patience); t.Before(at) {
			at = t
		}
	}
	return max(time.Millisecond, at.Sub(now))
}

// watch sends heartbeats, and stops a batch that is silent for too long.
func (r *run) watch(now time.Time) error {
	if err := r.batches.Beat(now); err != nil {
		return err
	}
	b := r.batches.Current()
	if b == nil {
		return nil
	}
	quiet := now.Sub(b.Moved)
	if step := r.patience() / askPart; b.Packed && quiet >= step {
		r.batches.Ask(now, step)
	}
	switch {
	case !r.current.stopped && quiet >= r.patience():
		r.current.stopped, b.Moved = true, now
		r.batches.Stop()
	case r.current.stopped && quiet > 2*r.patience()+10*time.Second:
		return errors.New("the pod does not end a request that was stopped")
	}
	return nil
}

// count hands on a reply to a request of a batch, and adapts the run to it.
func (r *run) count(b *wire.Batch, one reply.Reply) {
	if _, known := one.Length(); !known && one.Status != 0 && one.Class == "" && r.traits.NeedsLength {
		r.pace.single()
	}
	if one.Size > r.BodyLimit && r.pod.Head {
		r.pace.limited = true
	}
	r.warned.about(r.traits, one)
	if one.Reused && b.Requests > 1 { // alone in its process, a request has no earlier connection
		r.warned.add("the server kept connections open although %s asked it to close them: requests over an earlier connection were not counted, because no backend was picked for them, and since then each request had its own process", r.traits.Name)
		r.pace.single()
		r.budget.sendAgain(1)
		return
	}
	r.sink(one)
}
