package probe_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

// killer is a proxy in front of an API server. It kills a process with SIGKILL at one of its writes: before the API server gets the write, or
// when the API server has answered it.
type killer struct {
	proxy *httputil.ReverseProxy

	mu     sync.Mutex
	at     int // the write, counted from 1
	after  bool
	writes int
	child  *os.Process
}

// arm makes the next run of a process end at a write.
func (k *killer) arm(at int, after bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at, k.after, k.writes, k.child = at, after, 0, nil
}

// watch names the process that is killed.
func (k *killer) watch(p *os.Process) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.child = p
}

// isWrite reports whether a request changes something. Reviews and exec do not.
func isWrite(r *http.Request) bool {
	if r.URL.Query().Get("dryRun") != "" || strings.HasSuffix(r.URL.Path, "/exec") || strings.Contains(r.URL.Path, "reviews") {
		return false
	}
	return r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch || r.Method == http.MethodDelete
}

// due counts a write and reports whether it is the one.
func (k *killer) due() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writes++
	return k.writes == k.at
}

func (k *killer) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.child != nil {
		_ = k.child.Kill()
	}
}

// ServeHTTP implements http.Handler. An eviction says in its body whether it is a dry run, so the body of a small write is read.
func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isWrite(r) || isDryRun(r) || !k.due() {
		k.proxy.ServeHTTP(w, r)
		return
	}
	if !k.after {
		k.kill()
		panic(http.ErrAbortHandler) // the API server never sees it
	}
	// The process must not take the write back, so the API server's answer is not passed on.
	k.proxy.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
	k.kill()
	panic(http.ErrAbortHandler)
}

// isDryRun reports whether a write is one by its body.
func isDryRun(r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/eviction") {
		return false
	}
	var body bytes.Buffer
	_, err := body.ReadFrom(r.Body)
	r.Body = http.NoBody
	if err == nil {
		r.Body = nopCloser{bytes.NewReader(body.Bytes())}
	}
	// Protobuf and JSON both have the word as text.
	return bytes.Contains(body.Bytes(), []byte(metav1.DryRunAll))
}

type nopCloser struct{ *bytes.Reader }

// Close implements io.Closer.
func (nopCloser) Close() error { return nil }

// behind starts a killer in front of a cluster of the lab, and returns a kubeconfig in which that cluster is reached through it.
func behind(t *testing.T, name string) (*killer, string) {
	t.Helper()
	raw, err := clientcmd.LoadFromFile(os.Getenv("MESHLAB_KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.NewDefaultClientConfig(*raw, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k := &killer{proxy: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: transport, FlushInterval: -1, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
		w.WriteHeader(http.StatusBadGateway)
	}}}
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	context := raw.Contexts[name]
	raw.Clusters[context.Cluster] = &clientcmdapi.Cluster{Server: server.URL}
	raw.AuthInfos[context.AuthInfo] = &clientcmdapi.AuthInfo{}
	raw.CurrentContext = name
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*raw, file); err != nil {
		t.Fatal(err)
	}
	return k, file
}

// drillState is everything that a drill changes.
func drillState(t *testing.T, api kubernetes.Interface, ns string) string {
	t.Helper()
	d, err := api.AppsV1().Deployments(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	svc, err := api.CoreV1().Services(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	records, err := api.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "mesh.kubectl.io/drill"})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("replicas %d, annotations %v, records %d", *d.Spec.Replicas, svc.Annotations, len(records.Items))
}

// TestDrillKilled kills the whole binary with SIGKILL at each of its writes, and restores from another process. The state is exactly the previous
// one each time.
func TestDrillKilled(t *testing.T) {
	clients := labtest.Clients(t)
	ns := fmt.Sprintf("drill%d", os.Getpid())
	for _, name := range []string{"kind-us", "kind-eu"} {
		api := clients[name].CoreV1().Namespaces()
		if _, err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = api.Delete(context.Background(), ns, metav1.DeleteOptions{}) })
		kubectl(t, permissionObjects, "--context", name, "-n", ns, "apply", "-f", "-")
	}
	ready := func() {
		t.Helper()
		for _, name := range []string{"kind-us", "kind-eu"} {
			rolledOut(t, name, ns)
		}
	}
	ready()
	kill, kubeconfig := behind(t, "kind-us")
	before := drillState(t, clients["kind-us"], ns)
	// The record, the object, the object again unless it is a pod, and the record again.
	for _, c := range []struct {
		with   string
		writes int
	}{{"shared", 4}, {"scale", 4}, {"evict", 3}} {
		for at := 1; at <= c.writes; at++ {
			for _, after := range []bool{false, true} {
				ready()
				kill.arm(at, after)
				run := exec.CommandContext(t.Context(), "kubectl-mesh_probe", "drill", "web", "--in", "us", "--with", c.with, "--from", "deploy/client", "-n", ns,
					"--contexts", "kind-us,kind-eu,kind-ap", "--from-clusters", "us,eu", "--baseline", "1s", "--hold", "1s", "--rate", "5", "--yes")
				run.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
				var out bytes.Buffer
				run.Stdout, run.Stderr = &out, &out
				if err := run.Start(); err != nil {
					t.Fatal(err)
				}
				kill.watch(run.Process)
				_ = run.Wait()
				if code := run.ProcessState.ExitCode(); code != -1 {
					t.Fatalf("%s, write %d, after %v: it was not killed: exit code %d\n%s", c.with, at, after, code, out.String())
				}
				left := drillState(t, clients["kind-us"], ns)
				stdout, stderr, code := labtest.As(t, "", "kubectl-mesh_probe", "drill", "web", "--repair", "-n", ns, "--contexts", "kind-us,kind-eu", "--yes")
				if now := drillState(t, clients["kind-us"], ns); code != 0 || now != before {
					t.Errorf("%s, write %d, after %v: %s, left %s, now %s\nexit code %d\n%s%s", c.with, at, after, before, left, now, code, stdout, stderr)
				}
				t.Logf("%s, write %d, after %v: left %s", c.with, at, after, left)
			}
		}
	}
}

// rolledOut waits for the pods of permissionObjects.
func rolledOut(t *testing.T, contextName, ns string) {
	t.Helper()
	if err := labtest.RolledOut(func(args ...string) (string, error) {
		return kubectl(t, "", append([]string{"--context", contextName, "-n", ns}, args...)...), nil
	}, "deploy/web", "deploy/client"); err != nil {
		t.Fatal(err)
	}
}

// kubectl runs kubectl on the lab.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kubectl", append([]string{"--kubeconfig", os.Getenv("MESHLAB_KUBECONFIG")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		t.Fatalf("kubectl %v: %v\n%s", args, err, errOut.String())
	}
	return out.String()
}
