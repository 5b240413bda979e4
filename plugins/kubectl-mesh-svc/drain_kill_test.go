package svc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
)

// between stands between kubectl mesh-svc and the API servers of the lab, and does something to the process at one of its writes.
type between struct {
	kubeconfig string
	clients    map[string]kubernetes.Interface // past the proxies

	mu     sync.Mutex
	writes int
	at     int
	after  bool // the write has happened when the process is signalled
	signal os.Signal
	cmd    *exec.Cmd
}

// newBetween puts a proxy before each cluster and writes a kubeconfig that leads to them.
func newBetween(t *testing.T, contexts ...string) *between {
	t.Helper()
	lab := os.Getenv("MESHLAB_KUBECONFIG")
	if lab == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make test")
	}
	b := &between{clients: map[string]kubernetes.Interface{}, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	out := clientcmdapi.NewConfig()
	out.CurrentContext = contexts[0]
	for _, name := range contexts {
		cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: lab}, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
		if err != nil {
			t.Fatal(err)
		}
		cfg.QPS = -1
		b.clients[name], err = kubernetes.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		transport, err := rest.TransportFor(cfg)
		if err != nil {
			t.Fatal(err)
		}
		server, err := url.Parse(cfg.Host)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) }, Transport: transport}
		front := httptest.NewServer(b.handler(proxy))
		t.Cleanup(front.Close)
		out.Clusters[name] = &clientcmdapi.Cluster{Server: front.URL}
		out.AuthInfos[name] = &clientcmdapi.AuthInfo{}
		out.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	if err := clientcmd.WriteToFile(*out, b.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *between) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.URL.Query().Has("dryRun") || strings.Contains(r.URL.Path, "/selfsubject") {
			next.ServeHTTP(w, r)
			return
		}
		b.mu.Lock()
		b.writes++
		now := b.writes == b.at
		b.mu.Unlock()
		if !now {
			next.ServeHTTP(w, r)
			return
		}
		// Only when the body is read does the server notice that the other end is gone.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if b.after {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		_ = b.cmd.Process.Signal(b.signal) // it may have ended by itself
		<-r.Context().Done()               // the process is gone, or has given up waiting
	})
}

// run runs the real binary, which is signalled at its write number at; 0 never. It returns whether that came about.
func (b *between) run(t *testing.T, at int, after bool, signal os.Signal, args ...string) (out string, code int, signalled bool) {
	t.Helper()
	b.cmd = exec.CommandContext(t.Context(), "kubectl-mesh_svc", args...)
	b.writes, b.at, b.after, b.signal = 0, at, after, signal
	b.cmd.Env = append(os.Environ(), "COLUMNS=500", "KUBECONFIG="+b.kubeconfig, "XDG_STATE_HOME="+t.TempDir()) // another machine each time
	var buf bytes.Buffer
	b.cmd.Stdout, b.cmd.Stderr = &buf, &buf
	err := b.cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return buf.String(), b.cmd.ProcessState.ExitCode(), at > 0 && b.writes >= at
}

func (b *between) must(t *testing.T, args ...string) {
	t.Helper()
	if out, code, _ := b.run(t, 0, false, nil, args...); code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, out)
	}
}

// state is every annotation of the namespace's Services in us, and every record.
func (b *between) state(t *testing.T, namespace string) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := b.clients["kind-us"].CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, svc := range list.Items {
		for k, v := range svc.Annotations {
			out[svc.Name+" "+k] = v
		}
	}
	for name, client := range b.clients {
		cm, err := client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "kubectl-mesh-drain-us", metav1.GetOptions{})
		if err == nil {
			out[name+" record"] = cm.Data["state"]
		} else if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	return out
}

// alone waits until the objects of earlier tests are gone, because a drain applies to the Services of all namespaces.
func alone(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Services("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(list.Items, func(s corev1.Service) bool { return cilium.Global(s.Annotations).Value }), nil
	})
	if err != nil {
		t.Fatalf("other global services are still there: %v", err)
	}
}

// services makes a namespace with Services of every kind in all clusters.
func (b *between) services(t *testing.T) string {
	t.Helper()
	alone(t, b.clients["kind-us"])
	namespace := fmt.Sprintf("t%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	for name, client := range b.clients {
		if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			// The test's own context has ended by now.
			if err := client.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{}); err != nil {
				t.Logf("%s: %v", name, err)
			}
		})
		for svc, ann := range map[string]map[string]string{
			"absent":   {"service.cilium.io/global": "true", "keep": "me"},
			"explicit": {"service.cilium.io/global": "True", "service.cilium.io/shared": "TRUE"},
			"alias":    {"io.cilium/global-service": "true", "io.cilium/shared-service": "true"},
			"junk":     {"service.cilium.io/global": "true", "service.cilium.io/shared": "yes"},
		} {
			_, err := client.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: svc, Annotations: ann},
				Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}, metav1.CreateOptions{FieldManager: "kubectl-create"})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return namespace
}

// TestKilledAnywhere kills the real binary with SIGKILL at each of its writes to real API servers, before the write arrives and after it is
// done. What is run next, on another machine, sets it right: every annotation is what it was, and no record is left.
func TestKilledAnywhere(t *testing.T) {
	b := newBetween(t, "kind-us", "kind-eu", "kind-ap")
	namespace := b.services(t)
	want := b.state(t, namespace)
	for _, c := range []struct {
		killed string
		after  bool
		then   []string
	}{
		{"drain", false, []string{"drain", "undrain"}},
		{"drain", true, []string{"undrain"}},
		{"undrain", false, []string{"undrain"}},
		{"undrain", true, []string{"undrain"}},
	} {
		for at := 1; ; at++ {
			if c.killed == "undrain" {
				b.must(t, "drain", "us", "--yes")
			}
			out, code, killed := b.run(t, at, c.after, syscall.SIGKILL, c.killed, "us", "--yes")
			if !killed {
				if code != 0 || at < 6 { // three Services, and the record before and after them
					t.Errorf("%s: exit code %d after %d writes\n%s", c.killed, code, at-1, out)
				}
				if c.killed == "drain" {
					b.must(t, "undrain", "us")
				}
				break
			}
			for _, verb := range c.then {
				b.must(t, verb, "us", "--yes")
				if s := b.state(t, namespace); verb == "drain" && (s["absent service.cilium.io/shared"] != "false" || s["kind-ap record"] != "drained") {
					t.Errorf("%s, killed at write %d, drained again: %v", c.killed, at, s)
				}
			}
			if d := cmp.Diff(want, b.state(t, namespace)); d != "" {
				t.Fatalf("%s, killed at write %d (after: %v): %s", c.killed, at, c.after, d)
			}
		}
	}
}

// TestInterruptedDrain: Ctrl-C in the middle of the Services ends with 130, and says what was done and how to go on. The write that has begun is finished.
func TestInterruptedDrain(t *testing.T) {
	b := newBetween(t, "kind-us", "kind-eu", "kind-ap")
	namespace := b.services(t)
	want := b.state(t, namespace)
	out, code, _ := b.run(t, 3, true, syscall.SIGINT, "drain", "us", "--yes")
	if code != 130 {
		t.Errorf("exit code %d", code)
	}
	for _, line := range []string{"absent +changed", "alias +changed", "explicit +planned +not written", "us is not drained in full. To go on, run: kubectl mesh-svc drain us", "To undo it, on any machine, run: kubectl mesh-svc undrain us"} {
		if !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
	b.must(t, "undrain", "us")
	if d := cmp.Diff(want, b.state(t, namespace)); d != "" {
		t.Error(d)
	}
}
