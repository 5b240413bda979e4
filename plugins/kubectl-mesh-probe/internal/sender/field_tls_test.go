package sender

import (
	"bufio"
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

// An untrusted certificate is refused. It is accepted with --insecure, and with the right --cacert only.
func TestField02InsecureAndCACert(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() { nothingLeft(t) }) // after the parallel subtests
	for _, name := range []string{"dash GNU wget", "dash curl", "ash curl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, other := newTLSServer(t, false), pkitest.NewCA(t, pkitest.Spec{}).CertPEM
			words := append([]string{"rm"}, pods[name][1:]...)
			for step, want := range map[string]reply.Class{"nothing": reply.ClassTLS, "insecure": "", "cacert": "", "another CA": reply.ClassTLS} {
				cfg := fieldConfig(t, srv.URL, 6)
				switch step {
				case "insecure":
					cfg.Insecure = true
				case "cacert":
					cfg.CACert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
				case "another CA":
					cfg.CACert = other
				}
				got, res := runIn(t, newLocalPod(t, pods[name][0], words...), cfg)
				if wantClasses(t, got, res, map[reply.Class]int{want: 6}); t.Failed() {
					t.Fatal(step)
				}
				if hint := TLSHint(cfg, res); (hint != "") != (want == reply.ClassTLS) || want != "" && !strings.Contains(hint, "--cacert") {
					t.Errorf("%s: hint %q", step, hint)
				}
			}
		})
	}
}

// With --insecure, busybox accepts any certificate.
func TestField02BusyboxInsecure(t *testing.T) {
	t.Parallel()
	srv := newTLSServer(t, true)
	cfg := fieldConfig(t, srv.URL, 6)
	cfg.Insecure = true
	got, res := runPod(t, pods["dash busybox"], cfg)
	wantClasses(t, got, res, map[reply.Class]int{"": 6})
}

// If a tool cannot send a request, one line says so before anything is sent.
func TestField02RefusedBeforeTheRun(t *testing.T) {
	t.Parallel()
	certs := pkitest.NewCA(t, pkitest.Spec{}).CertPEM
	secret := []string{"Accept-Language: de", "host: x", "X-Api-Key: hunter2", "Content-Type: text/plain"}
	for name, tc := range map[string]struct {
		pod  []string
		set  func(*Config)
		want string
	}{
		"cacert, busybox":    {[]string{"dash", "wget=busybox"}, func(c *Config) { c.CACert = certs }, "busybox wget 1."},
		"cacert, no rm":      {[]string{"dash", "curl"}, func(c *Config) { c.CACert = certs }, "no rm"},
		"header, busybox":    {[]string{"dash", "wget=busybox"}, func(c *Config) { c.Headers = secret }, "the value of X-Api-Key; use a client pod with curl, or add --allow-visible-headers"},
		"header, GNU wget":   {[]string{"dash", "wget"}, func(c *Config) { c.Headers = secret }, "--allow-visible-headers"},
		"header, tool named": {[]string{"dash", "wget", "curl"}, func(c *Config) { c.Headers, c.Tool = secret, "wget" }, "--allow-visible-headers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := fieldConfig(t, "https://127.0.0.1:1/", 1)
			tc.set(&cfg)
			_, err := Run(t.Context(), newLocalPod(t, tc.pod[0], tc.pod[1:]...), cfg, func(reply.Reply) { t.Error("a reply") })
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestField02TLSHint(t *testing.T) {
	t.Parallel()
	failed, mixed := Result{Requests: 5, TLSFailures: 5}, Result{Requests: 5, TLSFailures: 4}
	for name, tc := range map[string]struct {
		cfg     Config
		results []Result
		want    string
	}{
		"all":          {Config{}, []Result{failed, failed, {}}, "--insecure"},
		"one answered": {Config{}, []Result{failed, mixed}, ""},
		"nothing sent": {Config{}, []Result{{}}, ""},
		"insecure":     {Config{Request: request.Request{Insecure: true}}, []Result{failed}, "speaks TLS"},
		"cacert":       {Config{Request: request.Request{CACert: []byte("x")}}, []Result{failed}, "valid for the host"},
	} {
		if got := TLSHint(tc.cfg, tc.results...); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// If the pod limits the output, an interrupt also ends a silent tool.
func TestFieldDInterruptEndsAToolBehindHead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ash busybox", "dash busybox", "bash GNU wget", "dash curl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interruptBehindHead(t, newLocalPod(t, pods[name][0], pods[name][1:]...))
		})
	}
}

func interruptBehindHead(t *testing.T, pod wire.Transport) {
	t.Helper()
	hanging, gone := make(chan struct{}, 10), make(chan struct{}, 10)
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		if n++; n <= 3 {
			_, _ = io.WriteString(w, strings.Repeat("x", 100000)) // a large body: the pod limits the output of later requests
			return
		}
		_, _ = io.WriteString(w, "a little")
		_ = http.NewResponseController(w).Flush()
		hanging <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	}))
	defer srv.Close()
	defer srv.CloseClientConnections() // Close waits for them
	cfg := fieldConfig(t, srv.URL, 100)
	cfg.Timeout = 9 * time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-hanging
		cancel()
	}()
	if res, err := Run(ctx, pod, cfg, func(reply.Reply) {}); err != nil || res.Complete {
		t.Fatalf("result %+v, %v", res, err)
	}
	select {
	case <-gone:
	case <-time.After(time.Minute):
		t.Error("the tool still waits for the server")
	}
}

// slowStart is a pod in which the end of the pipe that receives the signals starts late.
type slowStart struct{ *localPod }

func (p slowStart) Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error {
	lines, script := bufio.NewReader(stdin), ""
	for !strings.HasSuffix(script, "#end\n") {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		script += line
	}
	script = strings.Replace(script, "\nright() {\n", "\nright() {\nsleep 1\n", 1)
	stdin = io.MultiReader(strings.NewReader(script), lines)
	return p.localPod.Exec(ctx, command, stdin, stdout, stderr)
}

// The signal may arrive as soon as the server has been asked: on a busy node before the shell that passes it on has set its trap.
func TestFieldDInterruptAtTheStartOfATool(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ash busybox", "dash busybox", "bash GNU wget", "dash curl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interruptBehindHead(t, slowStart{newLocalPod(t, pods[name][0], append(slices.Clone(pods[name][1:]), "sleep")...)})
		})
	}
}

// Only busybox follows a redirect over HTTPS, and no tool requests HTTP/2 or a compressed body.
func TestField02HTTPSRedirectAndHTTP2(t *testing.T) {
	t.Parallel()
	for _, name := range append(slices.Clone(tools), "dash wget2") {
		if _, ok := pods[name]; !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newTLSServer(t, strings.Contains(name, "busybox"))
			cfg := fieldConfig(t, srv.URL+"/302", 5)
			cfg.Insecure = true
			pod := newLocalPod(t, pods[name][0], pods[name][1:]...)
			pod.env = []string{"HOME=" + t.TempDir()} // wget2 writes files there, or else to the working directory
			got, res := runIn(t, pod, cfg)
			wantClasses(t, got, res, map[reply.Class]int{"": 5})
			want := 302
			if strings.Contains(name, "busybox") {
				want = 200
			}
			if got.status[want] != 5 {
				t.Errorf("status %v, want %d", got.status, want)
			}
			if r := <-srv.seen; r.ProtoMajor != 1 || strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Errorf("protocol %s, header %v", r.Proto, r.Header)
			}
		})
	}
}

// busybox stops at each 503 and is started again at once: a failing Service is probed as fast as any other.
func TestFieldDBusyboxErrorsKeepTheRate(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	cfg := fieldConfig(t, srv.URL+"/503", 60)
	cfg.Rate = 40
	got, res := runPod(t, pods["dash busybox"], cfg)
	wantClasses(t, got, res, map[reply.Class]int{reply.Class5xx: 60})
	if n := srv.requests.Load(); n != 60 {
		t.Errorf("the server saw %d requests", n)
	}
}

// nothingLeft reports certificate files that a run has left. Another test may have one for a moment.
func nothingLeft(t *testing.T) {
	t.Helper()
	var left []string
	for range 600 {
		left = nil
		for _, dir := range []string{"/dev/shm", "/tmp", "/var/tmp"} {
			found, _ := filepath.Glob(filepath.Join(dir, ".mesh-probe-*"))
			left = append(left, found...)
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
	t.Errorf("left behind: %v", left)
}
