//go:build unix

package clusters

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

// watchdog ends a wait that never comes true.
const watchdog = 4 * time.Minute

// script is a credential plugin: a shell script with a log.
type script struct{ path, log string }

// newScript writes a plugin. It logs "run" and its first argument, does what body says, and prints its first argument as a token.
func newScript(t *testing.T, body string) script {
	t.Helper()
	dir := t.TempDir()
	s := script{filepath.Join(dir, "plugin"), filepath.Join(dir, "log")}
	text := "#!/bin/sh\necho \"run $1\" >> " + s.log + "\n" + body + "\n" +
		`echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{\"token\":\"$1\"}}"` + "\n"
	program.Write(t, s.path, text)
	return s
}

// exec returns the user entry that runs the plugin.
func (s script) exec(mode clientcmdapi.ExecInteractiveMode, args ...string) *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{Command: s.path, Args: args, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: mode}}
}

// lines returns the lines of the log that begin with a word.
func (s script) lines(t *testing.T, word string) []string {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), word+" "); ok {
			out = append(out, rest)
		}
	}
	return out
}

// hosted returns a context with a host of plugins, as main makes it.
func hosted(t *testing.T) context.Context {
	t.Helper()
	ctx, release := execplugin.WithHost(t.Context())
	t.Cleanup(release)
	return ctx
}

// selected runs Select; it fails the test if that takes the time of a watchdog.
func selected(ctx context.Context, t *testing.T, f *Flags) (*Selection, error) {
	t.Helper()
	type result struct {
		sel *Selection
		err error
	}
	done := make(chan result, 1)
	go func() {
		sel, err := f.Select(ctx)
		done <- result{sel, err}
	}()
	select {
	case r := <-done:
		return r.sel, r.err
	case <-time.After(watchdog):
		t.Fatal("Select does not return")
	}
	return nil, nil
}

func dies(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(watchdog); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // between two looks
		if syscall.Kill(n, 0) != nil {
			return
		}
		// A zombie that nobody waits for is dead too.
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %s lives on", pid)
}
