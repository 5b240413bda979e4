//go:build unix

package killtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// result is what became of one command.
type result struct {
	args           []string
	stdout, stderr string
	code           int // -1: killed
	took           time.Duration
}

// text is everything that the command printed.
func (r result) text() string { return r.stdout + r.stderr }

// Machines that test are slow and shared: taking long is not a failure. commandTimeout is longer than any command may take, gateTimeout how long one waits
// before a phase, requestTimeout how long it waits for a cluster, and patience how long this package waits for what a cluster or the model does.
const (
	commandTimeout = 30 * time.Minute
	gateTimeout    = "20m"
	requestTimeout = "1m"
	patience       = 5 * time.Minute
)

// run runs kubectl-mesh_ca, and ends its process group where the gate says.
func (m *mesh) run(at killAt, args ...string) result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), commandTimeout)
	defer cancel()
	global := []string{"--kubeconfig", m.kubeconfig, "--contexts", strings.Join(m.names, ","), "--cluster-timeout", requestTimeout}
	if args[0] == "rotate" || args[0] == "federate" {
		global = append(global, "--wait", gateTimeout)
	}
	if !slices.Contains(args, "--cilium-namespace") {
		global = append(global, "--cilium-namespace", m.namespace)
	}
	cmd := exec.CommandContext(ctx, "kubectl-mesh_ca", append(args, global...)...) //nolint:gosec // the binary under test
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Dir = m.dir
	cmd.Env = []string{"PATH=" + filepath.Join(m.dir, "bin") + ":" + os.Getenv("PATH"), "HOME=" + m.dir, "XDG_STATE_HOME=" + filepath.Join(m.dir, "state"), "COLUMNS=200"}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	killed := make(chan struct{})
	begun := time.Now()
	started := make(chan struct{})
	m.gate.arm(at, func() {
		<-started
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		close(killed)
	})
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	close(started)
	err := cmd.Wait()
	r := result{args: args, stdout: out.String(), stderr: errOut.String(), took: time.Since(begun)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		m.t.Fatal(err)
	}
	if r.code < 0 {
		select {
		case <-killed:
			m.settle()
		default:
			m.t.Fatalf("%s: ended by a signal that this test did not send, or after %s: %s", strings.Join(args, " "), commandTimeout, r.text())
		}
	}
	m.keys.search(m.t, strings.Join(args, " "), r.text())
	return r
}

// settle waits until what the command had on its way has ended.
func (m *mesh) settle() {
	done := make(chan struct{})
	go func() {
		m.gate.inFlight.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(streamTimeout):
	}
}

// alive is how a command says that another one may still run: it was killed, and counts as alive for a while.
var alive = regexp.MustCompile(`counts as alive until ([0-9TZ:-]+)`)

// again runs a command, and waits for those that were killed before it to count as dead.
func (m *mesh) again(at killAt, args ...string) result {
	m.t.Helper()
	for {
		r := m.run(at, args...)
		found := alive.FindStringSubmatch(r.stderr)
		if found == nil || r.code < 0 {
			return r
		}
		until, err := time.Parse(time.RFC3339, found[1])
		if err != nil || time.Until(until) > patience {
			m.t.Fatalf("%v: %s", err, r.stderr)
		}
		select {
		case <-time.After(time.Until(until) + time.Second):
		case <-m.t.Context().Done():
			m.t.Fatal(m.t.Context().Err())
		}
	}
}

// kill draws where a command ends: mostly at a write, since reads outnumber them.
func (m *mesh) kill(writes, reads int) killAt {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.world.R
	if r.IntN(10) < 7 {
		return killAt{number: 1 + r.IntN(writes), write: true, answer: r.IntN(2) == 0}
	}
	return killAt{number: 1 + r.IntN(reads), answer: r.IntN(2) == 0}
}

// draw is a random number of the mesh.
func (m *mesh) draw(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.world.R.IntN(n)
}

func (k killAt) kind() string {
	name := "read"
	if k.write {
		name = "write"
	}
	if k.answer {
		return name + ", answer lost"
	}
	return name + ", request lost"
}
