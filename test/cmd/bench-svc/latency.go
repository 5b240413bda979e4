//go:build unix

package main

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// farListener is a network of its own: what comes over its connections has been on its way for half a round trip, and
// so has what is sent. Setting up a connection takes one round trip, as TCP does. The window of a slow start is not
// imitated: however much is sent arrives at once.
type farListener struct {
	net.Listener
	oneWay time.Duration
}

// Accept waits for a connection. The kernel has answered it without delay, so that its round trip is made up
// for by what the client sends first.
func (l farListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &farConn{Conn: conn, oneWay: l.oneWay, in: newQueue(), out: newQueue()}
	go c.receive(time.Now().Add(2 * l.oneWay))
	go c.send()
	return c, nil
}

// farConn is the server's end of a connection.
type farConn struct {
	net.Conn
	oneWay  time.Duration
	in, out *queue
	rest    []byte // of what was taken from in
}

// parcel is bytes on their way, or how they end.
type parcel struct {
	due  time.Time
	data []byte
	err  error
}

func (c *farConn) receive(established time.Time) {
	for {
		buf := make([]byte, 16<<10)
		n, err := c.Conn.Read(buf)
		sent := time.Now()
		if sent.Before(established) {
			sent = established
		}
		c.in.put(parcel{sent.Add(c.oneWay), buf[:n], err})
		if err != nil {
			return
		}
	}
}

func (c *farConn) send() {
	for {
		p := c.out.take()
		time.Sleep(time.Until(p.due))
		if p.err != nil {
			_ = c.Conn.Close()
			return
		}
		if _, err := c.Conn.Write(p.data); err != nil {
			return
		}
	}
}

// Read returns what has arrived.
func (c *farConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		p := c.in.take()
		time.Sleep(time.Until(p.due))
		if len(p.data) == 0 && p.err != nil {
			return 0, p.err
		}
		c.rest = p.data
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write sends without waiting.
func (c *farConn) Write(b []byte) (int, error) {
	c.out.put(parcel{due: time.Now().Add(c.oneWay), data: append([]byte(nil), b...)})
	return len(b), nil
}

// Close ends the connection after what was sent has arrived.
func (c *farConn) Close() error {
	c.out.put(parcel{due: time.Now().Add(c.oneWay), err: io.EOF})
	c.in.put(parcel{err: net.ErrClosed})
	return nil
}

// SetReadDeadline is not needed here: a server of this program waits for its clients for ever.
func (c *farConn) SetReadDeadline(time.Time) error { return nil }

// SetDeadline is not needed either.
func (c *farConn) SetDeadline(time.Time) error { return nil }

// SetWriteDeadline is not needed either.
func (c *farConn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// queue is the line between two ends, as long as it needs to be.
type queue struct {
	mu    sync.Mutex
	more  *sync.Cond
	items []parcel
}

func newQueue() *queue {
	q := &queue{}
	q.more = sync.NewCond(&q.mu)
	return q
}

func (q *queue) put(p parcel) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, p)
	q.more.Signal()
}

func (q *queue) take() parcel {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		q.more.Wait()
	}
	p := q.items[0]
	q.items = q.items[1:]
	return p
}
