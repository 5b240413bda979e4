package wire

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Batch is one order of requests.
type Batch struct {
	ID       int
	Requests int
	// Limited says that the pod limits the output of the batch.
	Limited bool
	// Packed says that the pod sends the output of the batch when it has ended, compressed.
	Packed bool
	// Begun is when the pod began the batch. Moved is when its last output arrived.
	Begun, Moved time.Time

	end       *Frame // the end of its standard output
	errs      []byte // its standard error
	shellErrs []byte // what the shell printed there, if the rest is compressed
	errsEnded bool
	toolCode  *int // the tool's exit code, if the shell's exit code is that of another program
}

// Event is either a record of the tool, which the batch printed before its end, or the end of a batch.
type Event struct {
	Batch  *Batch
	Record *Frame
	End    *End
}

// End is what the pod printed for a batch, since the last record.
type End struct {
	// Records are the records of a packed batch.
	Records []Frame
	Output  Frame
	Errs    []byte // standard error
	Printed int    // how many bytes this was in the pod
	Code    int    // exit code
	// Full says that the pod ended a packed batch, because its output was too large.
	Full bool
}

// Batches are the batches that were sent to the pod and have not ended, in their order. The pod runs one after the other.
type Batches struct {
	orders

	open     []*Batch
	sent     int
	finished int
	trailer  int  // how many batches the pod says it has finished; -1 before it says so
	output   int  // bytes that the current batch has printed since its last record
	unframed int  // the same, on both streams
	packs    bool // the pod can compress the output of a batch
	beat     string
}

// Start starts the program in the pod. It then waits for batches.
func (s *Stream) Start(p Program, pod Pod) *Batches {
	s.in.send(p.lines("run", pod)...)
	return &Batches{orders: newOrders(s), trailer: -1}
}

// Send orders a batch.
func (b *Batches) Send(requests int) {
	o := b.add(requests)
	b.stream.in.send(fmt.Sprintf("R %d %d", o.ID, requests))
}

// SendLimited orders a batch of one request, of which the pod passes on no more than limit bytes.
func (b *Batches) SendLimited(limit int) {
	o := b.add(1)
	o.Limited = true
	b.stream.in.send(fmt.Sprintf("S %d %d", o.ID, limit))
}

// SendPacked orders a batch whose output the pod sends when it has ended, compressed. See Packs.
func (b *Batches) SendPacked(requests int) {
	o := b.add(requests)
	o.Packed = true
	b.stream.in.send(fmt.Sprintf("G %d %d", o.ID, requests))
}

// Packs reports whether the pod can compress the output of a batch. It is known when the first batch has begun.
func (b *Batches) Packs() bool { return b.packs }

func (b *Batches) add(requests int) *Batch {
	b.sent++
	o := &Batch{ID: b.sent, Requests: requests}
	b.open = append(b.open, o)
	return o
}

// Len is the number of batches that have not ended.
func (b *Batches) Len() int { return len(b.open) }

// Finished is the number of batches that have ended.
func (b *Batches) Finished() int { return b.finished }

// Current returns the batch that the pod works on, nil if there is none.
func (b *Batches) Current() *Batch {
	if len(b.open) == 0 || b.open[0].Begun.IsZero() {
		return nil
	}
	return b.open[0]
}

// Output is how many bytes the current batch has printed since its last record.
func (b *Batches) Output() int { return b.output }

// Stop asks the pod to end the current batch.
func (b *Batches) Stop() { b.stream.in.send("K") }

// Trailer reports whether the pod has ended the run, and returns an error if the pod did not finish all batches.
func (b *Batches) Trailer() (bool, error) {
	switch {
	case b.trailer < 0:
		return false, nil
	case !b.quit || len(b.open) > 0 || b.trailer != b.finished:
		return true, fmt.Errorf("the pod ended the run early, after %d batches", b.trailer)
	}
	return true, nil
}

// Read returns what the pod has printed. The events before an error are valid.
func (b *Batches) Read(now time.Time) ([]Event, error) {
	out, errs := b.take(now)
	var events []Event
	// The order between the two streams is unknown, so a batch has ended when its end has arrived on both.
	for progress := true; progress; {
		progress = false
		for len(out.frames) > 0 && (len(b.open) == 0 || b.open[0].end == nil) {
			record, err := b.frame(out.frames[0], now)
			if err != nil {
				return events, err
			}
			if record != nil {
				events = append(events, Event{Batch: b.open[0], Record: record})
			}
			out.frames, progress = out.frames[1:], true
		}
		for len(errs.frames) > 0 && (len(b.open) == 0 || !b.open[0].errsEnded) {
			if err := b.errFrame(errs.frames[0], now); err != nil {
				return events, err
			}
			errs.frames, progress = errs.frames[1:], true
		}
		if len(b.open) > 0 && b.open[0].end != nil && b.open[0].errsEnded {
			end, err := b.open[0].ended(b.stream.nonce)
			if err != nil {
				return events, err
			}
			events = append(events, Event{Batch: b.open[0], End: end})
			b.open = b.open[1:]
			b.finished++
			progress = true
		}
	}
	b.stream.out.putBack(out.frames)
	b.stream.errOut.putBack(errs.frames)
	b.output = out.pending
	if c, unframed := b.Current(), out.pending+errs.pending; c != nil && (unframed != b.unframed || out.beat != b.beat) {
		b.unframed, b.beat, c.Moved = unframed, out.beat, now // the heartbeat says how much a packed batch has written
	}
	return events, cmp.Or(out.err, errs.err)
}

// frame reads a framing line of standard output. It returns the frame if it is a record.
func (b *Batches) frame(f Frame, now time.Time) (*Frame, error) {
	switch f.verb {
	case 'W': // the worker is ready
		b.packs = f.Text != ""
		return nil, nil
	case 'Z':
		n, err := strconv.Atoi(f.Text)
		if err != nil || n < 0 {
			return nil, broken("trailer %q", f.Text)
		}
		b.trailer = n
		return nil, nil
	}
	if len(b.open) == 0 {
		return nil, broken("%q outside a batch", string(f.verb))
	}
	o := b.open[0]
	o.Moved = now
	switch f.verb {
	case 'B':
		if f.Text != strconv.Itoa(o.ID) {
			return nil, broken("batch %s begins, but %d is next", f.Text, o.ID)
		}
		o.Begun = now
		return nil, nil
	case 'C':
		return &f, nil
	case 'E':
		if words := strings.Fields(f.Text); len(words) != 2 || words[0] != strconv.Itoa(o.ID) || o.Begun.IsZero() {
			return nil, broken("end %q of batch %d", f.Text, o.ID)
		}
		o.end = &f
		return nil, nil
	}
	return nil, broken("unknown line %q", string(f.verb)+" "+f.Text)
}

// errFrame reads a framing line of standard error.
func (b *Batches) errFrame(f Frame, now time.Time) error {
	if f.verb == 'W' {
		return nil // the output before it is the shell's, from before it became the worker
	}
	if len(b.open) == 0 {
		return brokenErrs("%q outside a batch", string(f.verb))
	}
	o := b.open[0]
	o.Moved = now
	o.errs = append(o.errs, f.Data...)
	switch f.verb {
	case 'G':
		o.shellErrs, o.errs = o.errs, nil
		return nil
	case 'T':
		code, err := strconv.Atoi(f.Text)
		if err != nil {
			return brokenErrs("exit code %q", f.Text)
		}
		o.toolCode = &code
		return nil
	case 'E':
		if f.Text != strconv.Itoa(o.ID) {
			return brokenErrs("batch %s ends, but %d is next", f.Text, o.ID)
		}
		o.errsEnded = true
		return nil
	}
	return brokenErrs("unknown line %q", string(f.verb)+" "+f.Text)
}

// ended returns the output of a batch that has ended on both streams.
func (o *Batch) ended(nonce string) (*End, error) {
	code, err := strconv.Atoi(strings.Fields(o.end.Text)[1])
	if err != nil {
		return nil, broken("end %q of batch %d", o.end.Text, o.ID)
	}
	if o.toolCode != nil {
		code = *o.toolCode
	}
	end := &End{Output: *o.end, Errs: o.errs, Printed: o.end.Size + len(o.errs), Code: code}
	if !o.Packed {
		return end, nil
	}
	if err := end.unpack(nonce); err != nil {
		return end, err
	}
	end.Errs = slices.Concat(o.shellErrs, end.Errs)
	return end, nil
}

func broken(format string, args ...any) error {
	return fmt.Errorf("the pod's output is broken: "+format, args...)
}

func brokenErrs(format string, args ...any) error {
	return fmt.Errorf("the pod's error output is broken: "+format, args...)
}
