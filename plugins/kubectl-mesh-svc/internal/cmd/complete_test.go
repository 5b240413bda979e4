package cmd

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompletion: what the Tab key offers without any cluster. Completion must never fail aloud.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/namespaces" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind": "NamespaceList", "apiVersion": "v1", "items": [{"metadata": {"name": "shop"}}, {"metadata": {"name": "default"}}, {"metadata": {"name": "shipping"}}]}`))
	}))
	defer server.Close()
	t.Setenv("XDG_STATE_HOME", dir)
	older, newer := filepath.Join(dir, "kubectl-mesh", "undo-20260101T000000Z-share-1.json"), filepath.Join(dir, "kubectl-mesh", "undo-20260102T000000Z-drain-us-1.json")
	if err := os.Mkdir(filepath.Dir(older), 0o700); err != nil {
		t.Fatal(err)
	}
	// What undrain wrote is nothing that undo takes.
	if err := os.WriteFile(filepath.Join(dir, "kubectl-mesh", "undo-20260103T000000Z-undrain-us-1.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{older, newer, filepath.Join(filepath.Dir(older), "other.json")} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig := filepath.Join(dir, "config")
	const text = `apiVersion: v1
kind: Config
current-context: kind-us
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}, {name: live, cluster: {server: "SERVER"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: kind-us, context: {cluster: c, user: u}}, {name: kind-eu, context: {cluster: c, user: u}}, {name: prod, context: {cluster: live, user: u}}]
`
	if err := os.WriteFile(kubeconfig, []byte(strings.ReplaceAll(text, "SERVER", server.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	t.Setenv("KUBECTL_MESH_CONTEXTS", "")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"contexts":          {[]string{"list", "--contexts", ""}, "kind-eu kind-us prod"},
		"a prefix":          {[]string{"list", "--contexts", "kind-"}, "kind-eu kind-us"},
		"the second of two": {[]string{"list", "--contexts", "kind-us,"}, "kind-us,kind-eu kind-us,prod"},
		"one context":       {[]string{"describe", "--context", "p"}, "prod"},
		"finding ids":       {[]string{"check", "--ignore", "SVC00"}, "SVC001 SVC002 SVC003 SVC004 SVC005 SVC006 SVC007 SVC008 SVC009"},
		"affinity":          {[]string{"affinity", ""}, "local remote none"},
		"output":            {[]string{"list", "-o", ""}, "table wide json yaml jsonpath= go-template= name custom-columns="},
		"output of a graph": {[]string{"graph", "-o", ""}, "mermaid dot svg json yaml"},
		"output of a check": {[]string{"check", "-o", "s"}, "sarif"},
		"output of a write": {[]string{"drain", "us", "-o", "n"}, "name"},
		"dry run":           {[]string{"undrain", "--dry-run="}, "none client server"},
		"preflight":         {[]string{"undo", "--preflight", ""}, "full access"},
		"fail on":           {[]string{"check", "--fail-on", ""}, "error warning info never"},
		"affinity as flag":  {[]string{"globalize", "--affinity", ""}, "local remote none"},
		"shared":            {[]string{"globalize", "--shared", "t"}, "true"},
		"namespaces":        {[]string{"list", "--context", "prod", "-n", "sh"}, "shop shipping"},
		"undo records":      {[]string{"undo", ""}, newer + " " + older},
		"undo of one":       {[]string{"undo", newer, ""}, ""},
		"a dead cluster":    {[]string{"globalize", "ng"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, code := run(t, append([]string{"__complete"}, c.args...)...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			got := strings.Join(lines[:len(lines)-1], " ")
			if code != 0 || got != c.want {
				t.Errorf("exit code %d, %s", code, cmp.Diff(c.want, got))
			}
		})
	}
}
