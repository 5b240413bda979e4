package sender

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// The server receives method and data exactly, in both loops, whatever the data contains. No process shows them.
func TestRunSendsData(t *testing.T) {
	t.Parallel()
	for name, words := range map[string][]string{"ash": {"busybox", "curl"}, "dash": {"dash", "curl"}, "bash": {"bash", "curl"}} {
		for _, schedule := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				data := "@x=$(id) `id` \"'\\ \\n \r\n\t{a,b}[1-3]%s%%\n\xff\xfe secret-value\n\n" + strings.Repeat("=a\n", 4000)
				var mu sync.Mutex
				var got []string
				shown := false
				srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					mu.Lock()
					defer mu.Unlock()
					got = append(got, r.Method+" "+string(body))
					shown = shown || commandLinesContain("secret-value")
				}))
				defer srv.Close()
				cfg := fieldConfig(t, srv.URL, 4)
				cfg.Method, cfg.Data, cfg.Schedule, cfg.Rate = "PATCH", []byte(data), schedule, 10
				seen, res := runPod(t, words, cfg)
				if !res.Complete || seen.status[200] != 4 || len(got) != 4 {
					t.Fatalf("%+v %v; the server saw %d requests", res, seen.class, len(got))
				}
				for _, g := range got {
					if g != "PATCH "+data {
						t.Errorf("got %.200q", g)
					}
				}
				if shown {
					t.Error("a process shows the data on its command line")
				}
			})
		}
	}
}

// commandLinesContain reports whether a process shows a text on its command line.
func commandLinesContain(text string) bool {
	processes, _ := os.ReadDir("/proc")
	for _, p := range processes {
		if line, err := os.ReadFile("/proc/" + p.Name() + "/cmdline"); err == nil && strings.Contains(string(line), text) {
			return true
		}
	}
	return false
}

// With --resolve, the name need not exist.
func TestRunResolves(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, "http://nobody.invalid:"+u.Port(), 5)
	cfg.Resolve = request.Resolve{Host: "nobody.invalid", Port: cfg.Target.Port(), Address: netip.MustParseAddr("127.0.0.1")}
	if got, res := runPod(t, pods["dash curl"], cfg); !res.Complete || got.status[200] != 5 {
		t.Errorf("%+v %v", res, got.class)
	}
}
