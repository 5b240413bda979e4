package sender

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// localPod is a Transport that runs the command on this machine, with only the
// given programs on PATH. Like an exec through the API server it leaves the process
// alone when the context ends: only the streams end.
type localPod struct {
	path string
	env  []string
	// cutAfter is after how many bytes of output the connection is lost, without an error. 0 means never.
	cutAfter int64
	ended    chan struct{} // closed when the process has ended
}

func newLocalPod(t testing.TB, shell string, programs ...string) *localPod {
	t.Helper()
	dir := t.TempDir()
	link := func(name, program string) {
		file, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("%s is not installed", program)
		}
		if err := os.Symlink(file, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("sh", shell)
	for _, p := range append([]string{"uname"}, programs...) {
		name, program, found := strings.Cut(p, "=")
		if !found {
			program = name
		}
		link(name, program)
	}
	return &localPod{path: dir, ended: make(chan struct{})}
}

func (p *localPod) Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	cmd := exec.Command(filepath.Join(p.path, command[0]), command[1:]...)
	cmd.Args[0] = command[0]
	cmd.Env = append([]string{"PATH=" + p.path}, p.env...)
	cmd.SysProcAttr = newSession() // as a container's runtime does
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(in, stdin)
		_ = in.Close()
	}()
	lost := make(chan struct{})
	go func() {
		var src io.Reader = out
		if p.cutAfter > 0 {
			src = io.LimitReader(out, p.cutAfter)
		}
		_, _ = io.Copy(stdout, src)
		close(lost)
	}()
	result := make(chan error, 1)
	go func() {
		<-lost
		if p.cutAfter > 0 {
			_ = in.Close()
			_, _ = io.Copy(io.Discard, out)
		}
		err := cmd.Wait()
		close(p.ended)
		result <- err
	}()
	select {
	case <-ctx.Done():
		_ = in.Close()
		return ctx.Err()
	case err := <-result:
		if p.cutAfter > 0 {
			return nil // as client-go does
		}
		return err
	}
}

// server replies in all ways that a backend may.
type server struct {
	*httptest.Server
	requests atomic.Int64
	seen     chan *http.Request
	hanging  chan struct{}
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{seen: make(chan *http.Request, 1), hanging: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(func() {
		close(s.hanging)
		s.Close()
	})
	return s
}

// largeBody is the size of a body of which the open loop passes on only the beginning. No pipe holds all of it.
const largeBody = 600_000

func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	select {
	case s.seen <- r:
	default:
	}
	cluster := []string{"us", "eu", "ap"}[n%3]
	body := fmt.Sprintf("hello from %s %d", cluster, n)
	w.Header().Set("X-Cluster", cluster)
	path := r.URL.Path
	if path == "/mixed" {
		path = []string{"/", "/503", "/chunked", "/nolength", "/empty", "/"}[n%6]
	}
	switch path {
	case "/503":
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, "sorry,", cluster)
	case "/404":
		http.NotFound(w, r)
	case "/204":
		w.WriteHeader(http.StatusNoContent)
	case "/302":
		http.Redirect(w, r, "/", http.StatusFound)
	case "/chunked":
		_, _ = fmt.Fprint(w, body)
		_ = http.NewResponseController(w).Flush()
		_, _ = fmt.Fprint(w, "!")
	case "/nolength":
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nX-Cluster: %s\r\nConnection: close\r\n\r\n%s", cluster, body)
		_ = rw.Flush()
		_ = conn.Close()
	case "/empty", "/truncated":
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		if path == "/truncated" {
			_, _ = fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
			_ = rw.Flush()
		}
		_ = conn.Close()
	case "/binary":
		b := make([]byte, 5000)
		for i := range b {
			b[i] = byte(i * int(n))
		}
		_, _ = w.Write(b)
	case "/large":
		_, _ = w.Write([]byte(strings.Repeat(cluster, largeBody/len(cluster))))
	case "/huge":
		w.Header().Set("Content-Length", "20000000")
		chunk := []byte(strings.Repeat(cluster+" ", 5000))
		for range 20000000 / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case "/endless":
		for {
			if _, err := fmt.Fprintln(w, body); err != nil {
				return
			}
		}
	case "/hang":
		if n%5 == 0 {
			select {
			case <-s.hanging:
			case <-r.Context().Done():
			}
			return
		}
		_, _ = fmt.Fprint(w, body)
	case "/hangall":
		select {
		case <-s.hanging:
		case <-r.Context().Done():
		}
	default:
		_, _ = fmt.Fprint(w, body)
	}
}

// defaultTimeout is the time limit of a request in these tests.
const defaultTimeout = 5 * time.Second

func testConfig(t testing.TB, url string, count int) Config {
	t.Helper()
	target, err := request.ParseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Request: request.Request{Target: target, Method: "GET", UserAgent: "mesh-probe-test", Timeout: defaultTimeout}, Count: count, Streams: 1, Tool: "auto", BodyLimit: 16 << 10}
}

// freePort returns an address that does not listen.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// freshPods starts a process for each exec.
type freshPods struct {
	t     *testing.T
	words []string
}

func (f *freshPods) Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	return newLocalPod(f.t, f.words[0], f.words[1:]...).Exec(ctx, command, stdin, stdout, stderr)
}
