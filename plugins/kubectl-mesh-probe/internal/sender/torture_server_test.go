package sender

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// tortureServer replies in every way that a backend may, byte by byte as it wants, and counts what it did.
type tortureServer struct {
	url   string
	kinds []string // of the replies, in turn

	mu   sync.Mutex
	next int
	did  map[string]int // replies by kind
}

// newTortureServer starts a server. It speaks TLS if secure is true.
func newTortureServer(t *testing.T, secure bool, kinds ...string) *tortureServer {
	t.Helper()
	s := &tortureServer{kinds: kinds, did: map[string]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String() + "/"
	if secure {
		l = tls.NewListener(l, newTLSServer(t, true).TLS)
		s.url = "https" + strings.TrimPrefix(s.url, "http")
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s
}

// counts returns how often the server replied in each way so far.
func (s *tortureServer) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for k, n := range s.did {
		out[k] = n
	}
	return out
}

func (s *tortureServer) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	path := ""
	for first := true; ; first = false {
		line, err := in.ReadString('\n')
		if err != nil {
			return // no request
		}
		if first {
			path = strings.Fields(line + " x x")[1]
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	kind := "landing"
	s.mu.Lock()
	if path != "/landing" {
		kind = s.kinds[s.next%len(s.kinds)]
		s.next++
	}
	s.did[kind]++
	n := s.next
	s.mu.Unlock()
	replyTo(c, kind, n)
	if kind == "reset" || kind == "reset in body" {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		_, _ = io.Copy(io.Discard, in) // so that the rest of a request does not become a reset
	}
}

// frameLike looks like a line of every format that a reply may contain.
const frameLike = "\n0123456789abcdef0123456789abcdef E 1 0\n  HTTP/1.1 200 OK\n  Content-Length: 3\n  \nabc" +
	"--2026-11-29 10:00:00--  http://x/\n  HTTP/1.1 503 No\nSaving to: 'STDOUT'\n2026-11-29 10:00:00 (1 MB/s) - written to stdout [3/3]\n\n" +
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\x1f\x8b\x08wget: server returned error: HTTP/1.1 404 No\ncurl: (7) no\n"

// replyTo writes one reply. Every body names the number of the reply.
func replyTo(w io.Writer, kind string, n int) {
	send := func(status, header, body string) {
		_, _ = fmt.Fprintf(w, "HTTP/1.1 %s\r\nX-N: %d\r\nConnection: close\r\n%s\r\n%s", status, n, header, body)
	}
	length := func(status, body string) { send(status, fmt.Sprintf("Content-Length: %d\r\n", len(body)), body) }
	sized := func(size int) string {
		text := fmt.Sprintf("hello %d ", n)
		return (text + strings.Repeat(text, size/len(text)))[:size]
	}
	switch kind {
	case "ok", "landing":
		length("200 OK", fmt.Sprintf("hello %d", n))
	case "no body":
		length("200 OK", "")
	case "5 kB":
		length("200 OK", sized(5<<10))
	case "15 kB":
		length("200 OK", sized(15<<10))
	case "200 kB":
		length("200 OK", sized(200<<10))
	case "5 MB":
		length("200 OK", sized(5<<20))
	case "binary":
		b := make([]byte, 3000)
		for i := range b {
			b[i] = byte(i * n >> 2)
		}
		length("200 OK", string(b))
	case "frame-like":
		length("200 OK", frameLike)
	case "chunked":
		body := fmt.Sprintf("hello %d", n)
		send("200 OK", "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n3\r\n\x00\n!\r\n0\r\n\r\n", len(body), body))
	case "no length":
		send("200 OK", "", fmt.Sprintf("hello %d", n))
	case "204":
		send("204 No Content", "", "")
	case "302":
		send("302 Found", "Location: /landing\r\nContent-Length: 0\r\n", "")
	case "302 bare":
		length("302 Found", "nowhere")
	case "304":
		send("304 Not Modified", "", "")
	case "401":
		send("401 Unauthorized", "WWW-Authenticate: Bearer\r\nContent-Length: 3\r\n", "no\n")
	case "404":
		length("404 Not Found", "sorry\n")
	case "500":
		length("500 Internal Server Error", "")
	case "503":
		length("503 Service Unavailable", "no healthy upstream")
	case "reset in body":
		send("200 OK", "Content-Length: 1000\r\n", "part")
		time.Sleep(60 * time.Millisecond) // so that the client reads the part before the reset: busybox wget takes both in one go for an end
	case "short":
		send("200 OK", "Content-Length: 1000\r\n", "part")
	case "short chunk":
		send("200 OK", "Transfer-Encoding: chunked\r\n", "5\r\nhel")
	case "slow":
		_, _ = io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n")
		for range 10 {
			_, _ = io.WriteString(w, "x")
			time.Sleep(10 * time.Millisecond)
		}
	case "junk":
		_, _ = io.WriteString(w, "SSH-2.0-OpenSSH_9.2\r\n")
	case "half-closed", "reset":
	default:
		panic(kind)
	}
}
