package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// env makes a getenv of pairs.
func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func newConfig(t *testing.T, pairs ...string) *Config {
	t.Helper()
	c, err := Parse(nil, env(pairs...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		env  []string
		want func(*Config) bool
		err  string
	}{
		"defaults":             {want: func(c *Config) bool { return c.Port == 80 && c.Style == StyleText && c.KeepAlive }},
		"environment":          {env: []string{"ERROR_RATE", "0.5", "STYLE", "json"}, want: func(c *Config) bool { return c.ErrorRate == 0.5 && c.Style == StyleJSON }},
		"flag beats variable":  {args: []string{"--port=8080"}, env: []string{"PORT", "81"}, want: func(c *Config) bool { return c.Port == 8080 }},
		"bad variable":         {env: []string{"DELAY", "soon"}, err: "environment variable DELAY"},
		"unknown style":        {args: []string{"--style=loud"}, err: `--style "loud" is none of`},
		"rate above one":       {args: []string{"--error-rate=2"}, err: "is not from 0 to 1"},
		"argument":             {args: []string{"here"}, err: `unexpected argument "here"`},
		"unknown flag":         {args: []string{"--nope"}, err: "not defined"},
		"keep-alive switched":  {env: []string{"KEEPALIVE", "false"}, want: func(c *Config) bool { return !c.KeepAlive }},
		"empty is not present": {env: []string{"PORT", ""}, want: func(c *Config) bool { return c.Port == 80 }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Parse(tt.args, env(tt.env...), io.Discard)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !tt.want(c) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func TestStyles(t *testing.T) {
	t.Parallel()
	who := []string{"MESHLAB_CLUSTER", "us", "POD", "web-0", "NODE", "n1", "NAMESPACE", "default", "POD_IP", "10.1.1.3"}
	tests := map[string]struct {
		env    []string
		want   string
		part   bool
		header map[string]string
	}{
		"text":               {want: "Hello from web-0 in cluster us\n"},
		"text by template":   {env: []string{"BODY", "${CLUSTER}!"}, want: "us!"},
		"cluster overridden": {env: []string{"CLUSTER", "one", "BODY", "$CLUSTER"}, want: "one"},
		"json":               {env: []string{"STYLE", "json"}, want: `{"cluster":"us","namespace":"default","node":"n1","pod":"web-0"}` + "\n"},
		"galaxy":             {env: []string{"STYLE", "galaxy", "CLUSTER", "Cluster-1"}, want: `{"Galaxy": "Alderaan", "Cluster": "Cluster-1"}` + "\n"},
		"header":             {env: []string{"STYLE", "header"}, want: "ok\n", header: map[string]string{"X-Cluster": "us", "X-Pod": "web-0"}},
		"silent":             {env: []string{"STYLE", "silent"}, want: "ok\n", header: map[string]string{"X-Cluster": "", "X-Pod": ""}},
		"echo":               {env: []string{"STYLE", "echo"}, want: "\tpod IP:\t10.1.1.3\n", part: true},
		"echo of headers":    {env: []string{"STYLE", "echo"}, want: "\tx-probe=a, b\n", part: true},
		"aks": {
			env:  []string{"STYLE", "aks", "TITLE", "Welcome to Azure Kubernetes Service (AKS) 'App One' on cluster 1"},
			want: "<title>Welcome to Azure Kubernetes Service (AKS) &#39;App One&#39; on cluster 1</title>", part: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConfig(t, append(append([]string{}, who...), tt.env...)...)
			rec := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header["X-Probe"] = []string{"a", "b"}
			Handler(c, io.Discard).ServeHTTP(rec, req)
			body := rec.Body.String()
			if tt.part && !strings.Contains(body, tt.want) || !tt.part && body != tt.want {
				t.Errorf("body %q, want %q", body, tt.want)
			}
			for k, v := range tt.header {
				if got := rec.Header().Get(k); got != v {
					t.Errorf("%s: %q, want %q", k, got, v)
				}
			}
		})
	}
}

func TestErrorsHaveAnOrderThatTheSeedDecides(t *testing.T) {
	t.Parallel()
	codes := func(seed string) string {
		h := Handler(newConfig(t, "ERROR_RATE", "0.3", "ERROR_CODE", "500", "SEED", seed), io.Discard)
		var out strings.Builder
		for range 200 {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
			out.WriteString(map[int]string{200: ".", 500: "E"}[rec.Code])
		}
		return out.String()
	}
	one, again, other := codes("7"), codes("7"), codes("8")
	if diff := cmp.Diff(one, again); diff != "" {
		t.Errorf("one seed, two orders:\n%s", diff)
	}
	if one == other {
		t.Error("two seeds, one order")
	}
	if n := strings.Count(one, "E"); n < 30 || n > 90 || len(one) != 200 {
		t.Errorf("%d errors of %d at a rate of 0.3", n, len(one))
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env     []string
		size    int
		binary  bool
		chunked bool
	}{
		"huge":               {env: []string{"SIZE", "1000000"}, size: 1000000},
		"huge in chunks":     {env: []string{"SIZE", "1000000", "CHUNKED", "true"}, size: 1000000, chunked: true},
		"binary":             {env: []string{"STYLE", "silent", "BINARY", "true"}, size: 3 + 256, binary: true},
		"smaller than it is": {env: []string{"STYLE", "silent", "SIZE", "1"}, size: 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(Handler(newConfig(t, tt.env...), io.Discard))
			defer s.Close()
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if len(body) != tt.size {
				t.Errorf("%d bytes, want %d", len(body), tt.size)
			}
			if got := bytes.Contains(body, []byte{0, 1, 2, 0x1b - 1, 0x1b}) || bytes.ContainsRune(body, 0); got != tt.binary {
				t.Errorf("control characters: %t, want %t", got, tt.binary)
			}
			if got := resp.ContentLength < 0; got != tt.chunked {
				t.Errorf("chunked: %t, want %t", got, tt.chunked)
			}
		})
	}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	t.Run("without keep-alive", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(Handler(newConfig(t, "KEEPALIVE", "false"), io.Discard))
		defer s.Close()
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if !resp.Close {
			t.Error("the connection stays open")
		}
	})
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(Handler(newConfig(t, "RESET", "true"), io.Discard))
		defer s.Close()
		resp, err := s.Client().Get(s.URL)
		if err == nil {
			_ = resp.Body.Close()
			t.Fatal("an answer came")
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("error %v, want the end of the connection", err)
		}
	})
}

func TestDelayAndHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		rec := httptest.NewRecorder()
		Handler(newConfig(t, "DELAY", "3s"), io.Discard).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
		if got := time.Since(start); got != 3*time.Second || rec.Code != http.StatusOK {
			t.Errorf("answer %d after %v", rec.Code, got)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		rec = httptest.NewRecorder()
		Handler(newConfig(t, "HANG", "true"), io.Discard).ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		if got := time.Since(start); got != time.Hour+3*time.Second || rec.Body.Len() > 0 {
			t.Errorf("a hanging server answered %q after %v", rec.Body, got)
		}
	})
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, newConfig(t), l, io.Discard) }()
	resp, err := http.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
