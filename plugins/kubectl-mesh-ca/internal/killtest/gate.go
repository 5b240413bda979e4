//go:build unix

package killtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// gate stands between a command and the API servers of its mesh. It counts requests, and ends the command at one of them.
type gate struct {
	mu       sync.Mutex
	reads    int
	writes   int
	kill     func() // ends the command; nil while nothing is to be ended
	killed   bool
	at       killAt
	inFlight sync.WaitGroup
	// wrote is told of each write that the API server has answered with success.
	wrote func(cluster, method, path string)
	log   []string
}

// killAt is where a command ends: at its request with this number, among writes or among reads. The request is lost, or its answer is.
type killAt struct {
	number int // from 1; 0 for nowhere
	write  bool
	answer bool
}

// String words it for the log of a failed test.
func (k killAt) String() string {
	if k.number == 0 {
		return "not killed"
	}
	what, lost := "read", "before it reaches the API server"
	if k.write {
		what = "write"
	}
	if k.answer {
		lost = "after the API server has done it"
	}
	return fmt.Sprintf("killed at %s %d, %s", what, k.number, lost)
}

// arm makes the gate end a command.
func (g *gate) arm(at killAt, kill func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads, g.writes, g.at, g.kill, g.killed = 0, 0, at, kill, false
}

// pass counts a request, and reports whether the command ends at it.
func (g *gate) pass(write bool) (ends bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := &g.reads
	if write {
		n = &g.writes
	}
	*n++
	return !g.killed && g.at.number > 0 && g.at.write == write && *n == g.at.number
}

// end kills the command once.
func (g *gate) end() {
	g.mu.Lock()
	kill, first := g.kill, !g.killed
	g.killed = true
	g.mu.Unlock()
	if first && kill != nil {
		kill()
	}
}

// dead reports whether the command was killed: what it still had on its way was not sent.
func (g *gate) dead() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.killed
}

// isWrite reports whether a request changes something. Reviews of access and streams to pods change nothing, though they are POST.
func isWrite(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return false
	}
	for _, suffix := range []string{"accessreviews", "rulesreviews", "/exec", "/portforward"} {
		if strings.HasSuffix(r.URL.Path, suffix) {
			return false
		}
	}
	if r.URL.Query().Get("dryRun") != "" {
		return false
	}
	return r.Method != http.MethodDelete || !dryDelete(r)
}

// dryDelete reports whether a deletion is a dry run, which its body says.
func dryDelete(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && bytes.Contains(body, []byte(metav1.DryRunAll))
}

// proxy is the way to one API server.
func (g *gate) proxy(cluster string, config *rest.Config) (http.Handler, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	plain, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.NextProtos = []string{"http/1.1"}
	upgrades, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	to := &httputil.ReverseProxy{
		Transport: transports{plain, upgrades}, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.inFlight.Add(1)
		defer g.inFlight.Done()
		write := isWrite(r)
		ends := g.pass(write)
		if ends && !g.at.answer {
			g.end()
		}
		if g.dead() {
			panic(http.ErrAbortHandler)
		}
		if !write {
			to.ServeHTTP(w, r)
			if ends {
				g.end()
			}
			return
		}
		path, method := r.URL.Path, r.Method
		answer := &holding{header: http.Header{}}
		to.ServeHTTP(answer, r)
		if answer.code < http.StatusMultipleChoices {
			g.mu.Lock()
			g.log = append(g.log, fmt.Sprintf("%s %s %s %s", time.Now().Format("15:04:05.000"), cluster, method, path))
			g.mu.Unlock()
			g.wrote(cluster, method, path)
		}
		if ends {
			g.end()
			panic(http.ErrAbortHandler)
		}
		answer.release(w)
	}), nil
}

// transports are two: streams need HTTP/1.1. Everything else goes by HTTP/2, since a connection of HTTP/1.1 that the API server has closed, because a command was killed
// on it, fails the next command that writes on it.
type transports struct{ plain, upgrades http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t transports) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgrades.RoundTrip(r)
	}
	return t.plain.RoundTrip(r)
}

// holding keeps the answer to a write until the model has seen the write.
type holding struct {
	header http.Header
	code   int
	body   []byte
}

// Header implements http.ResponseWriter.
func (h *holding) Header() http.Header { return h.header }

// Write implements http.ResponseWriter.
func (h *holding) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	h.body = append(h.body, p...)
	return len(p), nil
}

// WriteHeader implements http.ResponseWriter.
func (h *holding) WriteHeader(code int) {
	if h.code == 0 {
		h.code = code
	}
}

func (h *holding) release(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.WriteHeader(max(h.code, http.StatusOK))
	_, _ = w.Write(h.body)
}
