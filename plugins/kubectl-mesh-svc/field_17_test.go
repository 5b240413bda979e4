//go:build unix

package svc_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

// apiServer is an API server of a cluster with Cilium, as far as selecting members asks it.
func apiServer(t *testing.T, name string, id int, peers ...string) *httptest.Server {
	t.Helper()
	data := map[string][]byte{}
	for _, p := range peers {
		data[p] = []byte("endpoints:\n- https://" + p + ".mesh.cilium.io:2379\n")
	}
	objects := map[string]any{
		"/api/v1/namespaces/kube-system":                            map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]string{"name": "kube-system", "uid": "uid-" + name}},
		"/api/v1/namespaces/kube-system/configmaps/cilium-config":   map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]string{"name": "cilium-config", "namespace": "kube-system"}, "data": map[string]string{"cluster-name": name, "cluster-id": fmt.Sprint(id)}},
		"/api/v1/namespaces/kube-system/secrets/cilium-clustermesh": map[string]any{"kind": "Secret", "apiVersion": "v1", "metadata": map[string]string{"name": "cilium-clustermesh", "namespace": "kube-system"}, "data": data},
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		object, ok := objects[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			object = map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"}
		}
		_ = json.NewEncoder(w).Encode(object) // the client may have gone
	}))
	t.Cleanup(s.Close)
	return s
}

// withPlugins writes a kubeconfig in which each context logs in with a plugin of its own, which does what body says first.
func withPlugins(t *testing.T, body string, servers map[string]*httptest.Server, current string) string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\ncd " + dir + "\necho \"$1\" >> " + filepath.Join(dir, "log") + "\n" + body +
		"\necho '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"x\"}}'\n"
	program.Write(t, filepath.Join(dir, "plugin"), script)
	cfg := clientcmdapi.NewConfig()
	cfg.CurrentContext = current
	for name, s := range servers {
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		cfg.Clusters[name] = &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: ca}
		cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{Command: "./plugin", Args: []string{name}, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode}}
		cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// meshSvc runs the binary on the PATH and returns what it printed, its exit code and how long it took. after is called once it has begun.
func meshSvc(t *testing.T, kubeconfig string, after func(*os.Process), args ...string) (out string, code int, took time.Duration) {
	t.Helper()
	if _, err := exec.LookPath("kubectl-mesh_svc"); err != nil {
		t.Skip("kubectl-mesh_svc is not on the PATH; run make test")
	}
	cmd := exec.CommandContext(t.Context(), "kubectl-mesh_svc", args...)
	var all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after != nil {
		after(cmd.Process)
	}
	_ = cmd.Wait() // the exit code tells
	return all.String(), cmd.ProcessState.ExitCode(), time.Since(began)
}

// busy is what a busy machine may add to a bound: starting dozens of processes takes CPU time.
const busy = time.Minute

// TestField17ManyContexts: the plugins of forty contexts run at the same time. Each waits until twenty have begun, which one after the other never happens.
// Once every peer has answered, the mesh of the current context waits for nobody else: the others' plugins never end.
func TestField17ManyContexts(t *testing.T) {
	servers := map[string]*httptest.Server{"kind-us": apiServer(t, "us", 1, "eu"), "kind-eu": apiServer(t, "eu", 2, "us")}
	for n := range 38 {
		servers[fmt.Sprintf("other-%d", n)] = apiServer(t, fmt.Sprintf("c%d", n), 10+n)
	}
	together := withPlugins(t, `while [ $(wc -l < log) -lt 20 ]; do sleep 0.2; done`, servers, "kind-us")
	out, code, _ := meshSvc(t, together, nil, "clusters", "--all-contexts", "--cluster-timeout=2m")
	if code != 0 || strings.Count(out, " ok ") != 40 {
		t.Errorf("exit code %d: %s", code, out)
	}
	endless := withPlugins(t, `case $1 in kind-*) ;; *) sleep 1000 ;; esac`, servers, "kind-us")
	out, code, _ = meshSvc(t, endless, nil, "clusters", "--cluster-timeout=10m")
	if code != 0 || strings.Count(out, " ok ") != 2 || !strings.Contains(out, "Note: every peer has answered") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestField17PluginThatHangs: it ends at its deadline, and the user was told what the command waited for; the first Ctrl-C ends it at once.
func TestField17PluginThatHangs(t *testing.T) {
	kubeconfig := withPlugins(t, "sleep 1000", map[string]*httptest.Server{"kind-us": apiServer(t, "us", 1)}, "kind-us")
	out, code, took := meshSvc(t, kubeconfig, nil, "clusters", "--cluster-timeout=2s")
	if code != 2 || took > 2*time.Second+busy || !strings.Contains(out, "did not finish within 2s (--cluster-timeout)") || !strings.Contains(out, "Waiting for credential plugin plugin of context kind-us") {
		t.Errorf("after %s, exit code %d: %s", took, code, out)
	}
	log := filepath.Join(filepath.Dir(kubeconfig), "log")
	var at time.Time
	out, code, _ = meshSvc(t, kubeconfig, func(p *os.Process) {
		for end := time.Now().Add(busy); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // between two looks
			if text, err := os.ReadFile(log); err == nil && strings.Count(string(text), "\n") == 2 {
				break
			}
		}
		at = time.Now()
		if err := p.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
	}, "clusters", "--cluster-timeout=10m")
	if took := time.Since(at); code != 130 || took > busy || !strings.Contains(out, "interrupted") {
		t.Errorf("%s after Ctrl-C, exit code %d: %s", took, code, out)
	}
}
