package probe

import (
	"io"
	"sync"
)

// lineQueue is the exec's stdin. Writing to it never blocks, however slow the connection is.
type lineQueue struct {
	mu     sync.Mutex
	cond   *sync.Cond
	buf    []byte
	closed bool
}

func newLineQueue() *lineQueue {
	q := &lineQueue{}
	q.cond = sync.NewCond(&q.mu)
	return q
}

// send appends lines. A line never holds a line break: Target and ParseHeader see to that, all else is ours.
func (q *lineQueue) send(lines ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range lines {
		q.buf = append(q.buf, l...)
		q.buf = append(q.buf, '\n')
	}
	q.cond.Broadcast()
}

// close is end of file for the pod, which ends its loop.
func (q *lineQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.cond.Broadcast()
}

// Read implements io.Reader.
func (q *lineQueue) Read(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.buf) == 0 && !q.closed {
		q.cond.Wait()
	}
	if len(q.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(b, q.buf)
	q.buf = q.buf[n:]
	return n, nil
}

// mailbox is the exec's stdout: it cuts what comes into frames and keeps them until
// the stream looks. It never blocks, because the connection's reader also answers pings.
type mailbox struct {
	mu     sync.Mutex
	parser *parser
	frames []frame
	total  int64 // bytes, heartbeats included
	ready  chan struct{}
}

func newMailbox(nonce string) *mailbox {
	m := &mailbox{ready: make(chan struct{}, 1)}
	m.parser = newParser(nonce, blockLimit, func(f frame) { m.frames = append(m.frames, f) })
	return m
}

// Write implements io.Writer.
func (m *mailbox) Write(b []byte) (int, error) {
	m.mu.Lock()
	n, err := m.parser.Write(b)
	m.total += int64(len(b))
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default:
	}
	return n, err
}

// news is what has come since the last look.
type news struct {
	frames  []frame
	total   int64
	beats   int
	pending int // bytes of the block under way
	err     error
}

func (m *mailbox) take() news {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, size := m.parser.pending()
	n := news{frames: m.frames, total: m.total, beats: m.parser.beats, pending: size, err: m.parser.err}
	m.frames = nil
	return n
}

// tail keeps the beginning of the exec's stderr.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[:min(len(b), max(0, 4<<10-len(t.buf)))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
