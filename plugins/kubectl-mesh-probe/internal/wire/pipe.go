package wire

import (
	"io"
	"sync"
	"time"
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

// send appends lines. A line must not contain a line break; request.ParseTarget and request.ParseHeader refuse them.
func (q *lineQueue) send(lines ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range lines {
		q.buf = append(q.buf, l...)
		q.buf = append(q.buf, '\n')
	}
	q.cond.Broadcast()
}

// close ends the pod's stdin, and with it the loop in the pod.
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

// mailbox is the exec's stdout or stderr. It cuts the output into frames and keeps them until they are taken.
// It never blocks, because the reader of the connection also answers pings.
type mailbox struct {
	mu     sync.Mutex
	parser *parser
	frames []Frame
	total  int64         // bytes, heartbeats included
	ready  chan struct{} // of both streams
}

func newMailbox(nonce string, ready chan struct{}) *mailbox {
	m := &mailbox{ready: ready}
	m.parser = newParser(nonce, blockLimit, func(f Frame) {
		f.Arrived = time.Now()
		m.frames = append(m.frames, f)
	})
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

// news is what a mailbox has received since it was last emptied.
type news struct {
	frames  []Frame
	total   int64
	beat    string
	pending int // bytes since the last framing line
	err     error
}

func (m *mailbox) take() news {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, size := m.parser.pending()
	n := news{frames: m.frames, total: m.total, beat: m.parser.lastBeat, pending: size, err: m.parser.err}
	m.frames = nil
	return n
}

// first takes the first frame. It returns the parser's error if the output is broken and no frame is left.
func (m *mailbox) first() (Frame, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.frames) == 0 {
		return Frame{}, false, m.parser.err
	}
	f := m.frames[0]
	m.frames = m.frames[1:]
	return f, true, nil
}

// putBack keeps frames that were taken too early.
func (m *mailbox) putBack(frames []Frame) {
	if len(frames) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frames = append(frames, m.frames...)
}

// text returns the beginning of the output since the last framing line.
func (m *mailbox) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, _ := m.parser.pending()
	return string(data[:min(len(data), 4<<10)])
}
