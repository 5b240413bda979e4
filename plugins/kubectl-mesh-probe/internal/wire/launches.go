package wire

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Launch is one request of the open loop. It has its own process in the pod.
type Launch struct {
	ID int
	// Ordered is when the plugin sent the order.
	Ordered time.Time
	// Limited says that the pod limits the output.
	Limited bool
	// PID is the process of the tool, 0 until it has started. Began is the pod's clock just before the tool started, 0 if the shell has
	// no clock. Seen is when the plugin heard that it had started.
	PID   int
	Began int64
	Seen  time.Time
	// Finished is the pod's clock when the tool had ended, and Arrived is when the plugin heard of it.
	Finished int64
	Arrived  time.Time
	Code     int // exit code of the tool
	Output   []byte
	Errs     []byte // standard error

	coded bool
	over  bool
}

// MaxOutput is how many bytes of a tool's output the pod passes on, at most.
const MaxOutput = 24000

// Clock is what the pod can do about time.
type Clock struct {
	// Reads says that the shell has a clock, in microseconds. Waits says that it can also wait for a time without a process.
	Reads, Waits bool
}

// Launches are the requests of the open loop that were ordered and have not ended.
type Launches struct {
	orders

	// Clock is valid when Prepared.
	Clock Clock

	offset   Offset
	asked    []time.Time // when the plugin asked for the pod's clock; the answers come in this order
	answered int
	open     map[int]*Launch
	sent     int
	ended    int
	trailer  bool
	ready    bool
	starts   []time.Duration // how long the tool took to start and end without a request
	awaited  time.Time       // since when the plugin waits for such a measurement
}

// StartOpen starts the program in the pod for the open loop. It then waits for orders.
func (s *Stream) StartOpen(p Program, pod Pod) *Launches {
	s.in.send(p.lines("open", pod)...)
	return &Launches{orders: newOrders(s), open: map[int]*Launch{}}
}

// Order orders a request. at is when the pod starts it, by its own clock; 0 means at once.
func (l *Launches) Order(at int64) *Launch { return l.order("O", 0, at) }

// OrderLimited orders a request of which the pod passes on no more than limit bytes.
func (l *Launches) OrderLimited(limit int, at int64) *Launch {
	o := l.order("S", limit, at)
	o.Limited = true
	return o
}

func (l *Launches) order(op string, limit int, at int64) *Launch {
	l.sent++
	o := &Launch{ID: l.sent, Ordered: time.Now()}
	l.open[o.ID] = o
	when := ""
	if at > 0 {
		when = " " + strconv.FormatInt(at, 10)
	}
	l.stream.in.send(fmt.Sprintf("%s %d %d%s", op, o.ID, limit, when))
	return o
}

// AskClock asks for the pod's clock.
func (l *Launches) AskClock() {
	l.asked = append(l.asked, time.Now())
	l.stream.in.send("Y")
}

// MeasureStart asks the pod to start the tool without a request, and to report how long that takes.
func (l *Launches) MeasureStart() {
	l.awaited = time.Now()
	l.stream.in.send("A")
}

// Answered is how many answers to AskClock have arrived.
func (l *Launches) Answered() int { return l.answered }

// maxToolStart limits ToolStart, for a pod that is too busy when it is measured.
const maxToolStart = 200 * time.Millisecond

// ToolStart is how long the tool takes to start, as far as measured.
func (l *Launches) ToolStart() time.Duration {
	return slices.Min(append([]time.Duration{maxToolStart}, l.starts...))
}

// Starts are the measurements that have arrived.
func (l *Launches) Starts() []time.Duration { return l.starts }

// Offset is the difference between the two clocks, as far as it is known. After the pod's clock was set, it is unknown for a moment.
func (l *Launches) Offset() Offset { return l.offset }

// Waits reports whether an order can name the time at which the pod starts the request.
func (l *Launches) Waits() bool { return l.Clock.Waits && l.offset.Known() }

// Stop ends the process of a request.
func (l *Launches) Stop(o *Launch) { l.stream.in.send("k " + strconv.Itoa(o.PID)) }

// Len is the number of requests that have not ended.
func (l *Launches) Len() int { return len(l.open) }

// Open returns the requests that have not ended, by ID.
func (l *Launches) Open() map[int]*Launch { return l.open }

// Prepared reports whether the pod waits for orders.
func (l *Launches) Prepared() bool { return l.ready }

// Trailer reports whether the pod has ended the run, and returns an error if the pod did not finish all requests.
func (l *Launches) Trailer() (bool, error) {
	switch {
	case !l.trailer:
		return false, nil
	case !l.quit || len(l.open) > 0:
		return true, fmt.Errorf("the pod ended the run early, after %d requests", l.ended)
	}
	return true, nil
}

// Beat is that of orders, and asks for the pod's clock.
func (l *Launches) Beat(now time.Time) error {
	sent, err := l.tick(now)
	if sent && l.Clock.Reads {
		l.AskClock()
	}
	return err
}

// Read returns the requests that have ended. Those before an error are valid.
func (l *Launches) Read(now time.Time) ([]*Launch, error) {
	out, errs := l.take(now)
	var done []*Launch
	for _, f := range out.frames {
		o, err := l.frame(f)
		if err != nil {
			return done, err
		}
		if o != nil {
			done = append(done, o)
		}
	}
	return done, cmp.Or(out.err, errs.err)
}

// frame reads a framing line. It returns the request that has ended with it.
func (l *Launches) frame(f Frame) (*Launch, error) {
	switch f.verb {
	case 'W':
		switch f.Text {
		case "yes yes", "no yes", "no no":
			l.ready, l.Clock = true, Clock{Waits: f.Text == "yes yes", Reads: f.Text != "no no"}
			return nil, nil
		}
		return nil, fmt.Errorf("the pod cannot keep a schedule: %s; choose another client pod with --from; a probe also works without --rate", f.Text)
	case 'Z':
		l.trailer = true
		return nil, nil
	case 'Y':
		return nil, l.heardClock(f)
	case 'A':
		return nil, l.heardStart(f)
	}
	id, rest, _ := strings.Cut(f.Text, " ")
	n, err := strconv.Atoi(id)
	o := l.open[n]
	if err != nil || o == nil || o.over {
		return nil, broken("%q of a request that is not under way", string(f.verb)+" "+id)
	}
	return l.part(o, f, rest)
}

// part reads one part of a request's report.
func (l *Launches) part(o *Launch, f Frame, rest string) (*Launch, error) {
	switch f.verb {
	case 'P':
		pid, clock, _ := strings.Cut(rest, " ")
		var err error
		if o.PID, err = strconv.Atoi(pid); err != nil || o.PID < 1 || !o.Seen.IsZero() {
			return nil, broken("start %q of request %d", rest, o.ID)
		}
		if o.Began, o.Seen = microseconds(clock), f.Arrived; o.Began > 0 && !l.offset.Allows(o.Began, o.Ordered, o.Seen) {
			l.offset = Offset{} // the pod's clock was set
			l.AskClock()
		}
	case 'E':
		o.Errs = append(o.Errs, rest...)
	case 'R':
		code, rest, _ := strings.Cut(rest, " ")
		clock, text, _ := strings.Cut(rest, " ")
		var err error
		if o.Code, err = strconv.Atoi(code); err != nil || o.coded {
			return nil, broken("exit code %q of request %d", code, o.ID)
		}
		o.Finished, o.Arrived, o.coded = microseconds(clock), f.Arrived, true
		o.Errs = unescape(append(o.Errs, text...))
	case 'M':
		o.Output = append(o.Output, rest...)
	case 'F':
		if !o.coded {
			return nil, broken("request %d ends without an exit code", o.ID)
		}
		o.Output = unescape(append(o.Output, rest...))
		o.over = true
		delete(l.open, o.ID)
		l.ended++
		return o, nil
	default:
		return nil, broken("unknown line %q", string(f.verb)+" "+f.Text)
	}
	if len(o.Output)+len(o.Errs) > blockLimit {
		return nil, broken("the report of request %d is too long", o.ID)
	}
	return nil, nil
}

// heardClock takes an answer to AskClock.
func (l *Launches) heardClock(f Frame) error {
	if len(l.asked) == 0 {
		return broken("clock %q", f.Text)
	}
	asked := l.asked[0]
	l.asked = l.asked[1:]
	l.answered++
	if pod := microseconds(f.Text); pod > 0 {
		l.offset.Learn(pod, asked, f.Arrived)
	}
	return nil
}

// heardStart takes an answer to MeasureStart. Without a clock in the pod, the answer itself took some of the time.
func (l *Launches) heardStart(f Frame) error {
	if l.awaited.IsZero() {
		return broken("measurement %q", f.Text)
	}
	begin, end, _ := strings.Cut(f.Text, " ")
	took := f.Arrived.Sub(l.awaited)
	if b, e := microseconds(begin), microseconds(end); b > 0 && e >= b {
		took = time.Duration(e-b) * time.Microsecond
	}
	l.starts, l.awaited = append(l.starts, took), time.Time{}
	return nil
}

// microseconds reads a time of the pod's clock, 0 if there is none.
func microseconds(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// unescape restores a text that escape in script.sh made one line.
func unescape(text []byte) []byte {
	out := text[:0]
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '=' && i+1 < len(text) {
			i++
			if c = '='; text[i] == 'n' {
				c = '\n'
			}
		}
		out = append(out, c)
	}
	return out
}
