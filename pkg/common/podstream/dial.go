package podstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Dial opens a connection to a port of a pod, as kubectl port-forward does, but without a port on this machine. The end of ctx ends the connection: it has
// no deadlines of its own. Close it. A missing permission is a *permissions.MissingError.
func (c *Cluster) Dial(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	what := fmt.Sprintf("port-forward to pod %s/%s, port %d", namespace, pod, port)
	u := c.client.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, err
	}
	websocket, err := portforward.NewSPDYOverWebsocketDialerForStreaming(u, c.config)
	if err != nil {
		return nil, err
	}
	dialer := portforward.NewFallbackDialerForStreaming(websocket, spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, "POST", u), needsSPDY)
	streams, err := negotiate(ctx, dialer)
	if err != nil {
		return nil, explain(err, "pods/portforward", namespace, what)
	}
	conn, err := open(ctx, streams, port)
	if err != nil {
		return nil, errors.Join(explain(err, "pods/portforward", namespace, what), streams.Close())
	}
	return conn, nil
}

// negotiate dials. The dialers of client-go take no context, so that one that hangs is left behind, and closed if it succeeds later.
func negotiate(ctx context.Context, dialer httpstream.Dialer) (httpstream.Connection, error) {
	type result struct {
		conn httpstream.Connection
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.conn != nil {
				_ = r.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// open creates the two streams of one connection: the kubelet reports on the first why it cannot connect.
func open(ctx context.Context, streams httpstream.Connection, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	failure, err := streams.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = failure.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := streams.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	c := &conn{Stream: data, streams: streams, failed: make(chan struct{})}
	go c.watch(failure)
	c.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	return c, nil
}

// conn is one forwarded connection.
type conn struct {
	httpstream.Stream
	streams httpstream.Connection
	stop    func() bool
	failed  chan struct{} // closed when the kubelet has said all
	once    sync.Once
	failure string // set before failed is closed
}

// watch keeps what the kubelet reports.
func (c *conn) watch(failure io.Reader) {
	const most = 1 << 10
	text, _ := io.ReadAll(io.LimitReader(failure, most)) // a stream that breaks has nothing to report
	c.failure = string(text)
	close(c.failed)
}

// Read adds to the end of the data why it ended, if the kubelet reports it.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Stream.Read(p)
	if err == nil || n > 0 {
		return n, err
	}
	select {
	case <-c.failed:
		if c.failure != "" {
			return 0, errors.New(c.failure)
		}
	case <-time.After(100 * time.Millisecond): // the two streams end in no order
	}
	return 0, err
}

// Close ends the connection and the streams below it.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		if c.stop != nil {
			c.stop()
		}
		_ = c.Reset() // discards what was not sent; otherwise the kubelet may wait for it
		err = c.streams.Close()
	})
	return err
}

type address struct{}

func (address) Network() string { return "port-forward" }
func (address) String() string  { return "pod" }

// LocalAddr and RemoteAddr are placeholders; a stream has no address.
func (c *conn) LocalAddr() net.Addr  { return address{} }
func (c *conn) RemoteAddr() net.Addr { return address{} }

// SetDeadline and its parts do nothing: the context of Dial ends the connection.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
