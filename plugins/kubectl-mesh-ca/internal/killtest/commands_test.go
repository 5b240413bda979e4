//go:build unix && (kill || charts)

package killtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd"
)

// anyCode is for commands whose exit code is their verdict about a mesh of different CAs.
const anyCode = -2

// TestNoCommandShowsAKey: whatever a command of mesh-ca prints or logs at -v=10, and whatever the API servers log of it, contains no private key. The commands
// that go on with a rotation are searched by TestKilled, too.
func TestNoCommandShowsAKey(t *testing.T) {
	t.Parallel()
	l := openLab(t)
	m := newMesh(t, l.sites, l.keys, fmt.Sprintf("keys-%d", os.Getpid()), 1, func(m *mesh, s *site, id int) {
		m.install(s, id, catest.Install{CA: m.newCA(id == 1), Method: "hand"})
	})
	us, eu := m.names[0], m.names[1]
	passphrase := filepath.Join(m.dir, "passphrase")
	must(t, os.WriteFile(passphrase, []byte("correct horse battery staple\n"), 0o600))
	fresh := m.emptyNamespace()
	ran := map[string]bool{}
	run := func(code int, args ...string) string {
		t.Helper()
		n := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "-") })
		if n < 0 {
			n = len(args)
		}
		ran[strings.Join(args[:n], " ")] = true
		r := m.again(killAt{}, append(args, "-v=10")...)
		for n := 1; n < 5 && r.code != code && slow.MatchString(r.text()); n++ {
			r = m.again(killAt{}, append(args, "-v=10")...)
		}
		if r.code != code && code != anyCode {
			t.Errorf("%s: exit code %d, want %d\n%s", strings.Join(args, " "), r.code, code, tail(r.text()))
		}
		return r.stdout
	}
	run(anyCode, "status")
	run(anyCode, "status", "--live", "-o", "json")
	run(anyCode, "check", "-o", "junit")
	run(0, "rbac", "--write", "--rotate", "--prune")
	run(0, "schema")
	run(0, "init", "--in", us, "--cilium-namespace", fresh, "--yes")
	m.keys.note(m.sites[us].client, fresh)
	file := filepath.Join(m.dir, "cas.age")
	run(0, "backup", "--all", "-f", file, "--passphrase-file", passphrase)
	content, err := os.ReadFile(file)
	must(t, err)
	m.keys.search(t, "the backup file", string(content))
	run(0, "federate", "--yes")
	run(0, "federate", "--off", "--allow-disconnect", "--yes")
	m.forget()
	run(0, "sync", "--from", us, "--to", eu, "--reissue", "--restart", "--yes", "-o", "json")
	run(0, "restore", "--in", eu, "--file", file, "--passphrase-file", passphrase, "--yes")
	run(0, "sync", "--from", us, "--to-all", "--reissue", "--restart", "--yes")
	run(0, "reissue", "--all", "--restart", "--yes")
	run(0, "backups", "-o", "yaml")
	m.becomesConnected()
	m.forget()
	m.keep()
	run(0, "rotate")
	run(0, "rotate", "plan", "-o", "json")
	run(0, "rotate", "start", "--yes")
	run(0, "rotate", "status")
	run(1, "rotate", "finish", "--yes")
	run(1, "rotate", "repair", "--yes")
	run(0, "rotate", "abort", "--yes")
	run(1, "rotate", "continue", "--yes")
	run(0, "backups", "prune", "--older-than", "0", "--yes")
	for _, name := range commands() {
		if !ran[name] {
			t.Errorf("kubectl mesh-ca %s was not searched", name)
		}
	}
	if failure := m.failed(); failure != "" {
		t.Error(failure)
	}
	l.searchAudit(t)
}

// emptyNamespace is one in which Cilium is not installed.
func (m *mesh) emptyNamespace() string {
	m.t.Helper()
	name := m.namespace + "-new"
	for _, s := range m.sites {
		api := s.client.CoreV1().Namespaces()
		_, err := api.Create(m.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(m.t, err)
		m.t.Cleanup(func() { _ = api.Delete(context.Background(), name, metav1.DeleteOptions{}) })
	}
	return name
}

// commands are all that ask a cluster.
func commands() []string {
	var out []string
	own := []string{"help", "completion", "options", "version"}
	for _, c := range cmd.New(kernel.New(genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard})).Commands() {
		if c.Hidden || slices.Contains(own, c.Name()) {
			continue
		}
		if c.Runnable() {
			out = append(out, c.Name())
		}
		for _, sub := range c.Commands() {
			out = append(out, c.Name()+" "+sub.Name())
		}
	}
	return out
}

// tail is the end of a long output.
func tail(text string) string {
	const most = 4000
	return text[max(0, len(text)-most):]
}
