package observe

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestObserve(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "cluster=us pod=a\n") }))
	defer server.Close()
	var out bytes.Buffer
	if err := Main([]string{"-every=5ms", "-for=1s", server.URL}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, line := range lines {
		var a Attempt
		if err := json.Unmarshal([]byte(line), &a); err != nil || a.Cluster != "us" || a.Error != "" || a.Start == 0 {
			t.Errorf("%s: %v", line, err)
		}
	}
	if len(lines) < 3 {
		t.Errorf("%d attempts in a second", len(lines))
	}
}

// A name is resolved before the first attempt, so that the observer sees the Service and not the name server.
func TestResolved(t *testing.T) {
	t.Parallel()
	if err := Main([]string{"-for=1ms", "http://name.invalid:1"}, io.Discard, io.Discard); err == nil {
		t.Error("a name that does not exist was observed")
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	dial, err := resolved(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(t.Context(), "tcp", "name.invalid:1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := conn.RemoteAddr().String(), strings.TrimPrefix(server.URL, "http://"); got != want {
		t.Errorf("dialled %s, want %s", got, want)
	}
	_ = conn.Close()
}

func TestClass(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hangs.Close() }()
	for url, want := range map[string]string{
		closed.URL: "refused", missing.URL: "status", "http://" + hangs.Addr().String(): "timeout", "http://name.invalid:1": "other",
	} {
		patience := time.Minute // a busy machine may take long to refuse
		if want == "timeout" || want == "other" {
			patience = 100 * time.Millisecond
		}
		a := attempt(&http.Client{Timeout: patience}, url)
		if a.Error != want && (want != "other" || a.Error != "timeout") { // where a name server does not answer
			t.Errorf("%s: got %q, want %q", url, a.Error, want)
		}
	}
}
