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

// mailbox is the exec's stdout or stderr: it cuts what comes into frames and keeps them until
// the stream looks. It never blocks, because the connection's reader also answers pings.
type mailbox struct {
	mu     sync.Mutex
	parser *parser
	frames []frame
	total  int64         // bytes, heartbeats included
	ready  chan struct{} // of both streams
}

func newMailbox(nonce string, ready chan struct{}) *mailbox {
	m := &mailbox{ready: ready}
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

// putBack keeps frames that were taken too early.
func (m *mailbox) putBack(frames []frame) {
	if len(frames) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frames = append(frames, m.frames...)
}

// text is what has come since the last framing line, but for its later part if it is long.
func (m *mailbox) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, _ := m.parser.pending()
	return string(data[:min(len(data), 4<<10)])
}
