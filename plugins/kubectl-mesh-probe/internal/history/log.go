package history

import (
	"iter"
	"math"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// Log keeps the requests of a run in the order of arrival. A request takes about 50 bytes, because texts are kept once. Durations are kept in
// microseconds, which is what tools report. The zero value is empty and ready to use. It is not safe for concurrent use.
type Log struct {
	chunks  [][]entry
	clients table[Client]
	classes table[reply.Class]
	texts   table[string]           // of messages
	senders []origin.Match          // by entry.sender
	known   map[origin.Match]uint32 // senders that do not change
	replies map[replyKey]uint32     // senders of replies that may be attributed later

	first, last time.Time // the range of Request.From
}

type entry struct {
	start, due             int64 // nanoseconds since 1970; due is 0 without a schedule
	duration, connect, lag uint32
	uncertain              uint32
	sender, message        uint32
	client, status, class  uint16
	measured               bool
}

// replyKey is one distinct reply of a client.
type replyKey struct {
	client uint16
	reply  int
}

const (
	// chunkSize is how many entries are allocated at once, so that a growing log is never copied.
	chunkSize = 8192
	// maxTexts limits the messages. Those beyond it are dropped: the class says what failed.
	maxTexts = 1 << 14
	// maxClasses limits the classes. They have a table of their own, because a request without its class would count as answered.
	maxClasses = math.MaxUint16
)

// table numbers distinct values. The zero value of the type has number 0.
type table[T comparable] struct {
	values []T
	number map[T]int
}

// add returns the number of a value. It is 0 if there are too many.
func (t *table[T]) add(v T, most int) int {
	if t.number == nil {
		var zero T
		t.values, t.number = []T{zero}, map[T]int{zero: 0}
	}
	n, known := t.number[v]
	switch {
	case known:
		return n
	case len(t.values) >= most:
		return 0
	}
	n = len(t.values)
	t.values = append(t.values, v)
	t.number[v] = n
	return n
}

// Add appends a request.
func (l *Log) Add(r Request) {
	e := entry{
		start: r.Start.UnixNano(), duration: micros(r.Duration), connect: micros(r.Connect), lag: micros(r.Lag), uncertain: micros(r.Uncertain), measured: r.Measured,
		client: uint16(l.clients.add(r.By(), math.MaxUint16)),
		status: uint16(r.Status), class: uint16(l.classes.add(r.Class, maxClasses)), message: uint32(l.texts.add(r.Message, maxTexts)),
	}
	if !r.Due.IsZero() {
		e.due = r.Due.UnixNano()
	}
	e.sender = l.sender(e.client, r)
	from := r.From().UTC()
	if l.Len() == 0 || from.Before(l.first) {
		l.first = from
	}
	if from.After(l.last) {
		l.last = from
	}
	if n := len(l.chunks); n == 0 || len(l.chunks[n-1]) == chunkSize {
		l.chunks = append(l.chunks, make([]entry, 0, chunkSize))
	}
	last := &l.chunks[len(l.chunks)-1]
	*last = append(*last, e)
}

// sender returns the number of the sender of a request.
func (l *Log) sender(client uint16, r Request) uint32 {
	if l.known == nil {
		l.known, l.replies, l.senders = map[origin.Match]uint32{{}: 0}, map[replyKey]uint32{}, []origin.Match{{}}
	}
	from := origin.Match{Name: r.Cluster, Member: r.Member, By: r.Evidence, Weak: r.Weak}
	if r.Reply != 0 {
		key := replyKey{client, r.Reply}
		n, known := l.replies[key]
		if !known {
			n = l.newSender(from)
			l.replies[key] = n
		}
		return n
	}
	n, known := l.known[from]
	if !known {
		n = l.newSender(from)
		l.known[from] = n
	}
	return n
}

func (l *Log) newSender(from origin.Match) uint32 {
	l.senders = append(l.senders, from)
	return uint32(len(l.senders) - 1)
}

// Attribute says who sent a reply whose sender was unknown when it arrived. It applies to all requests of the client with this reply.
func (l *Log) Attribute(by Client, reply int, from origin.Match) {
	if n, known := l.replies[replyKey{uint16(l.clients.number[by]), reply}]; known {
		l.senders[n] = from
	}
}

// Len returns the number of requests.
func (l *Log) Len() int {
	if len(l.chunks) == 0 {
		return 0
	}
	return (len(l.chunks)-1)*chunkSize + len(l.chunks[len(l.chunks)-1])
}

// Span returns the first and the last of the moments from which the requests count. They are zero without requests.
func (l *Log) Span() (first, last time.Time) { return l.first, l.last }

// All returns the requests in the order of arrival, with what is known by now about their senders.
func (l *Log) All() iter.Seq[Request] {
	return func(yield func(Request) bool) {
		for _, c := range l.chunks {
			for i := range c {
				if !yield(l.request(&c[i])) {
					return
				}
			}
		}
	}
}

func (l *Log) request(e *entry) Request {
	client, from := l.clients.values[e.client], l.senders[e.sender]
	r := Request{
		Client: client.Cluster, Pod: client.Pod, URL: client.URL, Start: time.Unix(0, e.start).UTC(), Uncertain: duration(e.uncertain), Duration: duration(e.duration),
		Measured: e.measured, Connect: duration(e.connect), Lag: duration(e.lag), Status: int(e.status), Class: l.classes.values[e.class],
		Message: l.texts.values[e.message], Cluster: from.Name, Member: from.Member, Evidence: from.By, Weak: from.Weak,
	}
	if e.due != 0 {
		r.Due = time.Unix(0, e.due).UTC()
	}
	return r
}

func micros(d time.Duration) uint32 {
	return uint32(min(max(0, d.Round(time.Microsecond).Microseconds()), math.MaxUint32))
}

func duration(us uint32) time.Duration { return time.Duration(us) * time.Microsecond }
