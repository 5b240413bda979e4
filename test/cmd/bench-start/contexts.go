package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	many  = 40          // contexts of a large kubeconfig
	login = time.Second // how long its credential plugins take
)

// contexts measures kubeconfigs whose contexts log in with a credential plugin each: many against one, and how soon Ctrl-C ends a plugin that hangs.
func (b *bench) contexts(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bench-start")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	one, err := kubeconfig(filepath.Join(dir, "one"), fmt.Sprintf("sleep %g", login.Seconds()), 1)
	if err != nil {
		return err
	}
	defer one.stop()
	all, err := kubeconfig(filepath.Join(dir, "many"), fmt.Sprintf("sleep %g", login.Seconds()), many)
	if err != nil {
		return err
	}
	defer all.stop()
	hangs, err := kubeconfig(filepath.Join(dir, "hangs"), "sleep 1000", 1)
	if err != nil {
		return err
	}
	defer hangs.stop()
	var single, mesh, every, ctrlC []time.Duration
	const turns = 3
	for range turns {
		for _, m := range []struct {
			of   *kubeconfigOf
			into *[]time.Duration
			args []string
		}{{one, &single, []string{"--contexts", "c0"}}, {all, &mesh, nil}, {all, &every, []string{"--all-contexts"}}} {
			took, err := b.clusters(ctx, m.of, m.args...)
			if err != nil {
				return err
			}
			*m.into = append(*m.into, took)
		}
		took, err := b.interrupted(ctx, hangs)
		if err != nil {
			return err
		}
		ctrlC = append(ctrlC, took)
	}
	b.reportContexts(turns, single, mesh, every, ctrlC)
	return nil
}

// reportContexts prints what contexts measured.
func (b *bench) reportContexts(turns int, single, mesh, every, ctrlC []time.Duration) {
	b.print("\nKubeconfigs whose contexts have a credential plugin of %s each, median of %d runs", login, turns)
	b.print("%-62s %.2f s", "one context", median(single).Seconds())
	for _, m := range []struct {
		what string
		took []time.Duration
	}{{"the mesh of the current context", mesh}, {"--all-contexts", every}} {
		what := fmt.Sprintf("%d contexts, %s", many, m.what)
		ratio := float64(median(m.took)) / float64(median(single))
		b.print("%-62s %.2f s", what, median(m.took).Seconds())
		b.add(what+", against one", "twice as long or less", ratio <= 2, "%.2f times", ratio)
	}
	b.print("%-62s %.2f s", "Ctrl-C while a plugin hangs, until the command ends", median(ctrlC).Seconds())
	b.add("Ctrl-C while a plugin hangs", "1 s or less", median(ctrlC) <= time.Second, "%.2f s", median(ctrlC).Seconds())
}

// clusters runs mesh-svc clusters, and looks at what it prints: a fast failure is not fast.
func (b *bench) clusters(ctx context.Context, m *kubeconfigOf, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, plugins[0]), append([]string{"clusters", "--no-headers"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+m.kubeconfig)
	begun := time.Now()
	out, err := cmd.Output()
	took := time.Since(begun)
	if err != nil {
		return 0, fmt.Errorf("clusters: %w", err)
	}
	if got := strings.Count(string(out), " ok"); got != len(m.servers) {
		return 0, fmt.Errorf("clusters read %d of %d:\n%s", got, len(m.servers), out)
	}
	return took, nil
}

// interrupted returns how long a command goes on after Ctrl-C, while its plugin hangs.
func (b *bench) interrupted(ctx context.Context, m *kubeconfigOf) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, plugins[0]), "clusters", "--cluster-timeout=5m")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+m.kubeconfig)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	begun := filepath.Join(filepath.Dir(m.kubeconfig), "begun")
	for {
		if _, err := os.Stat(begun); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	at := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, err
	}
	_ = cmd.Wait() // the exit code tells
	took := time.Since(at)
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		return 0, fmt.Errorf("after Ctrl-C the exit code is %d, want 130", code)
	}
	return took, os.Remove(begun)
}

// kubeconfigOf is a kubeconfig of some clusters, which answer as far as they are asked who they are.
type kubeconfigOf struct {
	kubeconfig string
	servers    []*httptest.Server
}

func (m *kubeconfigOf) stop() {
	for _, s := range m.servers {
		s.Close()
	}
}

// kubeconfig writes a kubeconfig with n contexts of one mesh, each with a credential plugin that does what body says.
func kubeconfig(dir, body string, n int) (*kubeconfigOf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	script := "#!/bin/sh\n: > " + dir + "/begun\n" + body +
		"\necho '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"x\"}}'\n"
	plugin := filepath.Join(dir, "plugin")
	if err := os.WriteFile(plugin, []byte(script), 0o700); err != nil { //nolint:gosec // it is run
		return nil, err
	}
	m := &kubeconfigOf{kubeconfig: filepath.Join(dir, "kubeconfig")}
	cfg := clientcmdapi.NewConfig()
	cfg.CurrentContext = "c0"
	for i := range n {
		s := cluster(i, n)
		m.servers = append(m.servers, s)
		name := fmt.Sprintf("c%d", i)
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		cfg.Clusters[name] = &clientcmdapi.Cluster{Server: s.URL, CertificateAuthorityData: ca}
		cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{Command: plugin, Args: []string{name}, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode}}
		cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	return m, clientcmd.WriteToFile(*cfg, m.kubeconfig)
}

// cluster is an API server of one cluster of a mesh of n.
func cluster(i, n int) *httptest.Server {
	name := fmt.Sprintf("c%d", i)
	peers := map[string][]byte{}
	for p := range n {
		if p != i {
			peer := fmt.Sprintf("c%d", p)
			peers[peer] = []byte("endpoints:\n- https://" + peer + ".mesh.cilium.io:2379\n")
		}
	}
	meta := func(object string) map[string]string {
		return map[string]string{"name": object, "namespace": "kube-system"}
	}
	objects := map[string]any{
		"/api/v1/namespaces/kube-system":                            map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]string{"name": "kube-system", "uid": "uid-" + name}},
		"/api/v1/namespaces/kube-system/configmaps/cilium-config":   map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta("cilium-config"), "data": map[string]string{"cluster-name": name, "cluster-id": fmt.Sprint(i + 1)}},
		"/api/v1/namespaces/kube-system/secrets/cilium-clustermesh": map[string]any{"kind": "Secret", "apiVersion": "v1", "metadata": meta("cilium-clustermesh"), "data": peers},
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		object, ok := objects[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			object = map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": http.StatusNotFound, "message": "not found"}
		}
		_ = json.NewEncoder(w).Encode(object) // the client may have gone
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // a client that is interrupted need not be reported
	s.EnableHTTP2 = true                                                        // as API servers have it: one connection for all requests
	s.StartTLS()
	return s
}
