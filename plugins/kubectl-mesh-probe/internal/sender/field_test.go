package sender

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	programs "github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// newTLSServer is newServer with HTTPS and an untrusted certificate. It also offers HTTP/2.
func newTLSServer(t *testing.T, rsaOnly bool) *server {
	t.Helper()
	plain := newServer(t)
	s := &server{Server: httptest.NewUnstartedServer(plain.Config.Handler), seen: plain.seen, hanging: plain.hanging}
	s.EnableHTTP2 = true
	// busybox offers no signature algorithms: only ciphers without a signature are left for it.
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_CBC_SHA,
	}}
	if rsaOnly {
		s.TLS.MaxVersion, s.TLS.CipherSuites = tls.VersionTLS12, s.TLS.CipherSuites[1:]
	}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// rawServer reads a request from every connection, sends the same bytes, and closes it.
func rawServer(t *testing.T, reply string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				if _, err := c.Read(buf); err != nil {
					return
				}
				_, _ = c.Write([]byte(reply))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// wrap replaces a program of the pod by a shell script. REAL is the program.
func wrap(t *testing.T, pod *localPod, name, text string) {
	t.Helper()
	file := filepath.Join(pod.path, name)
	program, err := filepath.EvalSymlinks(file)
	if err != nil {
		t.Fatal(err)
	}
	if name == "wget" && filepath.Base(program) == "busybox" {
		program += " wget"
	}
	sh, err := exec.LookPath("dash")
	if err != nil {
		t.Skip("dash is not installed")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	text = "#!" + sh + "\n" + strings.ReplaceAll(text, "REAL", program) + "\n"
	programs.Write(t, file, text)
}

// runIn is runPod with a prepared pod.
func runIn(t *testing.T, pod *localPod, cfg Config) (*observed, Result) {
	t.Helper()
	got, sink := collect()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // ends a hang
	defer cancel()
	res, err := Run(ctx, pod, cfg, sink)
	if err != nil {
		t.Fatal(err)
	}
	<-pod.ended
	return got, res
}

func wantClasses(t *testing.T, got *observed, res Result, want map[reply.Class]int) {
	t.Helper()
	if !res.Complete {
		t.Errorf("result %+v", res)
	}
	if diff := cmp.Diff(want, got.class); diff != "" {
		t.Errorf("class (-want +got)\n%s", diff)
	}
}

var tools = []string{"dash busybox", "dash GNU wget", "dash curl"}

// busybox prints a note before the header of an HTTPS reply.
func TestField02BusyboxNoteIsNotAReply(t *testing.T) {
	t.Parallel()
	for path, class := range map[string]reply.Class{"/": "", "/503": reply.Class5xx, "/404": reply.Class4xx, "/chunked": ""} {
		for _, name := range []string{"ash busybox"} {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				srv := newTLSServer(t, true)
				got, res := runPod(t, pods[name], fieldConfig(t, srv.URL+path, 6))
				wantClasses(t, got, res, map[reply.Class]int{class: 6})
				if class == "" && got.byWho["us"]+got.byWho["eu"]+got.byWho["ap"] != 6 {
					t.Errorf("headers %v", got.byWho)
				}
			})
		}
	}
}

// A failed handshake has class tls, with every tool.
func TestField02FailedHandshakeIsTLS(t *testing.T) {
	t.Parallel()
	for _, name := range tools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := strings.Replace(rawServer(t, "\x15\x03\x03\x00\x02\x02\x28"), "http:", "https:", 1) // alert: handshake failure
			got, res := runPod(t, pods[name], fieldConfig(t, url, 5))
			wantClasses(t, got, res, map[reply.Class]int{reply.ClassTLS: 5})
		})
	}
}

// ld.so prints an error on stderr, before the tool and before the shell.
func TestField02PreloadOfAMissingLibrary(t *testing.T) {
	t.Parallel()
	for name, words := range pods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			pod := newLocalPod(t, words[0], words[1:]...)
			pod.env = []string{"LD_PRELOAD=/nonexistent/libtrace.so"}
			got, res := runIn(t, pod, fieldConfig(t, srv.URL, 20))
			wantClasses(t, got, res, map[reply.Class]int{"": 20})
			if len(got.bodies) != 20 {
				t.Errorf("%d different bodies", len(got.bodies))
			}
		})
	}
}

// The configuration in the pod's home has no effect.
func TestField02ConfigurationInTheHome(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dash GNU wget", "dash curl"} {
		for path, class := range map[string]reply.Class{"/": "", "/503": reply.Class5xx} {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				srv := newServer(t)
				home := t.TempDir()
				for file, text := range map[string]string{
					".wgetrc": "quiet = on\nsave_headers = off\nheader = X-Extra: 1\n", ".curlrc": "fail\nuser-agent = \"mine\"\noutput = \"/dev/null\"\nverbose\n",
				} {
					if err := os.WriteFile(filepath.Join(home, file), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				pod := newLocalPod(t, pods[name][0], pods[name][1:]...)
				pod.env = []string{"HOME=" + home}
				got, res := runIn(t, pod, fieldConfig(t, srv.URL+path, 20))
				wantClasses(t, got, res, map[reply.Class]int{class: 20})
				if r := <-srv.seen; r.UserAgent() != "mesh-probe-test" || r.Header.Get("X-Extra") != "" {
					t.Errorf("request %v", r.Header)
				}
			})
		}
	}
}

// A wrapper that prints lines of its own: on stderr, on stdout, or with both streams merged.
func TestField02WrapperThatTalks(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"stderr":       `echo "wrapper: starting" >&2; echo "  HTTP 3 things" >&2; REAL "$@"; r=$?; echo "wrapper: error? no" >&2; exit $r`,
		"stdout":       `echo "wrapper v1"; exec REAL "$@"`,
		"both, merged": `echo "wrapper: note"; REAL "$@" 2>&1`,
	}
	for script, text := range scripts {
		for _, name := range tools {
			for path, class := range map[string]reply.Class{"/": "", "/503": reply.Class5xx} {
				t.Run(script+" "+name+path, func(t *testing.T) {
					t.Parallel()
					srv := newServer(t)
					pod := newLocalPod(t, pods[name][0], pods[name][1:]...)
					tool := "wget"
					if name == "dash curl" {
						tool = "curl"
					}
					wrap(t, pod, tool, text)
					got, res := runIn(t, pod, fieldConfig(t, srv.URL+path, 6))
					wantClasses(t, got, res, map[reply.Class]int{class: 6})
				})
			}
		}
	}
}

// If a tool exits with another code than 0, that is not a reply, even if its output looks like one.
func TestField02ExitCodeIsNeverAnAnswer(t *testing.T) {
	t.Parallel()
	for code, text := range map[string]string{"code 3": `REAL "$@"; exit 3`, "a crash": `REAL "$@"; kill -SEGV $$`} {
		for _, name := range []string{"dash busybox", "dash GNU wget", "dash curl"} {
			t.Run(name+" "+code, func(t *testing.T) {
				t.Parallel()
				srv := newServer(t)
				pod := newLocalPod(t, pods[name][0], pods[name][1:]...)
				wrap(t, pod, map[bool]string{true: "curl", false: "wget"}[name == "dash curl"], `case $* in *help*|*-V*) exec REAL "$@";; esac;`+text)
				got, res := runIn(t, pod, fieldConfig(t, srv.URL, 1))
				wantClasses(t, got, res, map[reply.Class]int{reply.ClassTool: 1})
				if got.status[200] != 1 {
					t.Errorf("status %v", got.status)
				}
			})
		}
	}
}

// Unusual replies, and output that is not a reply.
func TestField02UnusualReplies(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nX-Cluster: us\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
	tests := map[string]struct {
		reply  string
		status int
		class  reply.Class
	}{
		"100":                {"HTTP/1.1 100 Continue\r\n\r\n" + ok, 200, ""},
		"103":                {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok, 200, ""},
		"304":                {"HTTP/1.1 304 Not Modified\r\nX-Cluster: us\r\nConnection: close\r\n\r\n", 304, ""},
		"304 with a length":  {"HTTP/1.1 304 Not Modified\r\nX-Cluster: us\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", 304, ""},
		"empty body":         {"HTTP/1.1 200 OK\r\nX-Cluster: us\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 200, ""},
		"trailers":           {"HTTP/1.1 200 OK\r\nX-Cluster: us\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n", 200, ""},
		"no reason":          {"HTTP/1.1 200\r\nX-Cluster: us\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 200, ""},
		"HTTP/1.0":           {"HTTP/1.0 200 OK\r\nX-Cluster: us\r\n\r\nhello", 200, ""},
		"503 of no length":   {"HTTP/1.1 503 Service Unavailable\r\nX-Cluster: us\r\nConnection: close\r\n\r\nsorry", 503, reply.Class5xx},
		"503 that is cut":    {"HTTP/1.1 503 Service Unavailable\r\nX-Cluster: us\r\nContent-Length: 50\r\nConnection: close\r\n\r\nsorry", 503, reply.Class5xx},
		"garbage":            {"SSH-2.0-OpenSSH_9.6\r\n", 0, reply.ClassUnknown},
		"garbage first":      {"220 ready\r\n" + ok, 0, reply.ClassUnknown},
		"header without end": {"HTTP/1.1 200 OK\r\nX-Clus", 200, reply.ClassTruncated},
		"nothing":            {"", 0, reply.ClassEmpty},
	}
	for name, tc := range tests {
		for _, pod := range tools {
			t.Run(name+" "+pod, func(t *testing.T) {
				t.Parallel()
				status, class := tc.status, tc.class
				if name == "103" && strings.Contains(pod, "busybox") {
					status, class = 0, reply.ClassTool // it knows no interim reply but 100 and gives up
				}
				got, res := runPod(t, pods[pod], fieldConfig(t, rawServer(t, tc.reply), 4))
				wantClasses(t, got, res, map[reply.Class]int{class: 4})
				if got.status[status] != 4 {
					t.Errorf("status %v, want %d", got.status, status)
				}
				if want := (status == 200 && class == ""); want && got.byWho["us"] != 4 {
					t.Errorf("headers %v", got.byWho)
				}
				if strings.Contains(tc.reply, "hello") && status == 200 && class == "" && !got.bodies["hello"] {
					t.Errorf("bodies %v", got.bodies)
				}
			})
		}
	}
}

// keepingServer leaves each connection open, whatever it is asked to do. The body of a reply is the number of its connection.
func keepingServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_ = r.Body.Close()
					body := fmt.Sprint(n)
					_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// Only the first request of a connection counts: Cilium picks a backend for a connection.
func TestReusedConnectionsAreNotCounted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dash busybox", "dash GNU wget", "dash curl", "dash curl packed"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, res := runPod(t, pods[name], fieldConfig(t, keepingServer(t), 60))
			if !res.Complete || res.Requests != 60 || got.class[""] != 60 || len(got.bodies) != 60 {
				t.Errorf("%d connections, classes %v, result %+v", len(got.bodies), got.class, res)
			}
			warned := slices.ContainsFunc(res.Warnings, func(w string) bool { return strings.Contains(w, "an earlier connection were not counted") })
			if warned != (toolOf(name) == "curl") {
				t.Errorf("warnings %q", res.Warnings)
			}
		})
	}
}

// If GNU wget is killed, requests that were not sent are not errors.
func TestFieldDKilledGNUWgetReportsNothingUnsent(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	pod := newLocalPod(t, "dash", "wget", "head")
	// The first process with several URLs is killed.
	mark := filepath.Join(t.TempDir(), "killed")
	wrap(t, pod, "wget", fmt.Sprintf(`case $* in *help*) exec REAL "$@";; esac
[ $# -gt 22 ] && ! [ -e %[1]s ] && : >%[1]s && kill -KILL $$
exec REAL "$@"`, mark))
	got, res := runIn(t, pod, fieldConfig(t, srv.URL, 20))
	if !res.Complete || res.Requests != 20 || got.class[reply.ClassTool] > 1 || got.class[""] < 19 {
		t.Errorf("result %+v, classes %v", res, got.class)
	}
}

// An interrupted run counts the replies. The request at which it was interrupted is not an error.
func TestFieldDInterruptedRunReportsNoErrors(t *testing.T) {
	t.Parallel()
	for name, words := range pods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			pod := newLocalPod(t, words[0], words[1:]...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			got, sink := collect()
			n := 0
			res, err := Run(ctx, pod, fieldConfig(t, srv.URL, 1<<30), func(r reply.Reply) {
				sink(r)
				if r.Class != "" {
					t.Errorf("%s: %s, status %d, %.200q", r.Class, r.Message, r.Status, r.Body)
				}
				if n++; n == 40 {
					cancel()
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			<-pod.ended
			if res.Complete || got.class[""] != res.Requests {
				t.Errorf("result %+v, classes %v", res, got.class)
			}
		})
	}
}

// fieldConfig is testConfig with a time limit that is long enough for a busy machine.
func fieldConfig(t *testing.T, url string, count int) Config {
	t.Helper()
	cfg := testConfig(t, url, count)
	cfg.Timeout = time.Minute
	return cfg
}
