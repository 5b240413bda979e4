package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCompletion: what the Tab key offers without any cluster. Completion must never fail aloud.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "config")
	const text = `apiVersion: v1
kind: Config
current-context: kind-us
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: kind-us, context: {cluster: c, user: u}}, {name: kind-eu, context: {cluster: c, user: u}}, {name: prod, context: {cluster: c, user: u}}]
`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
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
