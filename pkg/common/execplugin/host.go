package execplugin

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/execplugin/wrapper"
)

const (
	// maxRunning bounds how many plugins run at once; many of them are interpreters that need memory.
	maxRunning = 64
	// failureMemory is how long a plugin that failed is not run again. It is longer than a command takes, but for one that watches.
	failureMemory = time.Minute
	// maxRejected is of how many runs in a row an API server may reject the credentials before the plugin is not run again.
	maxRejected = 2
	// drainTime is how long the host waits at the end for its wrappers to end their plugins.
	drainTime = 700 * time.Millisecond
)

// Host decides which plugins run. All its methods can be called from several goroutines.
type Host struct {
	mu       sync.Mutex
	self     string // this program; empty: no plugin can be wrapped
	dir      string // where the socket is
	token    string
	listener net.Listener
	plugins  map[string]*plugin
	waiting  []*run // in the order in which they came
	running  []*run
	idle     chan struct{} // closed while nothing runs
	over     bool
}

// plugin is what the host knows of a plugin between its runs.
type plugin struct {
	command      string
	timeout      time.Duration
	failure      *FailureError
	failed       time.Time
	runs         int    // that have given credentials
	rejected     bool   // the last response rejected credentials
	rejectedRuns int    // runs in a row whose credentials were rejected, without the last run
	ahead        *ahead // nil: its credentials are needed
}

// run is one wrapper that is connected.
type run struct {
	key     string
	pid     int // of the wrapper
	prompts bool
	conn    net.Conn
	out     *json.Encoder // to the wrapper, under the lock of the host
	begin   chan struct{} // closed when its turn has come
	began   time.Time     // zero while it waits for its turn
	done    chan struct{} // closed when the host knows how it ended
	ended   bool          // by the host
}

// FailureError says why a plugin gave no credentials.
type FailureError struct {
	TimedOut bool
	Message  string
}

// Error returns the message.
func (f *FailureError) Error() string { return f.Message }

func newHost() *Host {
	h := &Host{plugins: map[string]*plugin{}, token: rand.Text(), idle: make(chan struct{})}
	close(h.idle)
	// Without it client-go runs the plugins itself.
	h.self, _ = os.Executable()
	return h
}

// Wrap returns a configuration with which client-go runs the plugin through the wrapper. key stands for the plugin with its configuration; timeout is the
// plugin's own deadline, which does not run while it has the terminal. The configuration is returned unchanged where no wrapper can be used, for one
// where the command does not exist: client-go then says so and prints the installation hint.
func (h *Host) Wrap(cfg *clientcmdapi.ExecConfig, key string, timeout time.Duration) *clientcmdapi.ExecConfig {
	path, err := exec.LookPath(filepath.Clean(cfg.Command))
	if err != nil || h.listen() != nil {
		return cfg
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m, err := json.Marshal(wrapper.Marker{Socket: h.listener.Addr().String(), Token: h.token, Key: key})
	if err != nil {
		return cfg
	}
	if h.plugins[key] == nil {
		h.plugins[key] = &plugin{command: filepath.Base(cfg.Command), timeout: timeout}
	}
	wrapped := cfg.DeepCopy()
	wrapped.Command = h.self
	wrapped.Args = append([]string{path, cfg.Command}, cfg.Args...)
	wrapped.Env = append(slices.Clone(cfg.Env), clientcmdapi.ExecEnvVar{Name: wrapper.MarkerEnv, Value: string(m)})
	return wrapped
}

// listen opens the socket, once.
func (h *Host) listen() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.over || h.self == "":
		return errors.New("no wrapper")
	case h.listener != nil:
		return nil
	}
	var err error
	// The path of a socket is short, about 100 bytes, and that of the user's temporary directory may be long.
	for _, parent := range []string{os.TempDir(), "/tmp"} {
		var dir string
		if dir, err = os.MkdirTemp(parent, "kubectl-mesh-"); err != nil { // only the user may enter it
			continue
		}
		if h.listener, err = net.Listen("unix", filepath.Join(dir, "s")); err == nil {
			h.dir = dir
			go h.accept(h.listener)
			return nil
		}
		_ = os.RemoveAll(dir)
	}
	h.self = ""
	return err
}

func (h *Host) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // it is closed
		}
		go h.serve(conn)
	}
}

// serve attends to one wrapper until its plugin has ended.
func (h *Host) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := json.NewDecoder(conn)
	var hi wrapper.Hello
	if in.Decode(&hi) != nil || hi.Token != h.token {
		return
	}
	r := &run{key: hi.Key, pid: hi.PID, prompts: hi.Prompts, conn: conn, out: json.NewEncoder(conn), begin: make(chan struct{}), done: make(chan struct{})}
	ended := make(chan *wrapper.Report, 1)
	go func() {
		var end wrapper.Report
		if in.Decode(&end) != nil {
			ended <- nil
			return
		}
		ended <- &end
	}()
	if !h.enqueue(r) {
		_ = r.out.Encode(wrapper.Order{}) //nolint:errchkjson // the wrapper may have gone, and then nobody waits for it
		return
	}
	var end *wrapper.Report
	select {
	case <-r.begin:
		if h.order(r) == nil {
			end = <-ended
		}
	case end = <-ended:
	}
	h.dequeue(r, end)
}

// order tells the wrapper that its plugin may run.
func (h *Host) order(r *run) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.plugins[r.key]
	r.began = time.Now()
	return r.out.Encode(wrapper.Order{Run: true, Timeout: p.timeout, HoldStderr: p.ahead != nil})
}

// enqueue lets a wrapper wait for its turn. It reports false if its plugin must not run.
func (h *Host) enqueue(r *run) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.plugins[r.key]
	if h.over || p == nil || p.ahead != nil && p.ahead.ended {
		return false
	}
	if p.rejected && p.rejectedRuns+1 >= maxRejected {
		p.failure, p.failed = &FailureError{Message: fmt.Sprintf("the API server rejects the credentials of credential plugin %q", p.command)}, time.Now()
		p.rejected, p.rejectedRuns = false, 0
	}
	if p.failure != nil && time.Since(p.failed) < failureMemory {
		return false
	}
	if len(h.running)+len(h.waiting) == 0 {
		h.idle = make(chan struct{})
	}
	h.waiting = append(h.waiting, r)
	h.schedule()
	return true
}

// schedule begins what may run, in the order in which it came. A plugin that may prompt runs alone: whatever else wrote to the terminal would come between.
func (h *Host) schedule() {
	for len(h.waiting) > 0 && !h.over {
		next := h.waiting[0]
		alone := next.prompts || slices.ContainsFunc(h.running, func(r *run) bool { return r.prompts })
		if alone && len(h.running) > 0 || len(h.running) >= maxRunning {
			return
		}
		h.waiting = h.waiting[1:]
		h.running = append(h.running, next)
		close(next.begin)
	}
}

// dequeue notes how a run ended; end is nil where the wrapper was ended or died.
func (h *Host) dequeue(r *run, end *wrapper.Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	is := func(o *run) bool { return o == r }
	h.waiting, h.running = slices.DeleteFunc(h.waiting, is), slices.DeleteFunc(h.running, is)
	p := h.plugins[r.key]
	if !r.ended {
		p.failure, p.failed = p.failureOf(end), time.Now()
		p.renewed()
	}
	if end != nil {
		p.show(end.Stderr)
	}
	close(r.done)
	h.schedule()
	if len(h.running)+len(h.waiting) == 0 {
		close(h.idle)
	}
}

func (p *plugin) failureOf(end *wrapper.Report) *FailureError {
	fail := func(format string, args ...any) *FailureError {
		return &FailureError{Message: fmt.Sprintf("credential plugin %q ", p.command) + fmt.Sprintf(format, args...)}
	}
	switch {
	case end == nil:
		return fail("was ended")
	case end.Error != "":
		return fail("could not be started: %s", end.Error)
	case end.TimedOut && end.Stopped:
		f := fail("waited for the terminal, which it did not have, for %s (--cluster-timeout); see interactiveMode in the kubeconfig", p.timeout)
		f.TimedOut = true
		return f
	case end.TimedOut:
		f := fail("did not finish within %s (--cluster-timeout); if it waits for a login in a browser, log in first or use a longer --cluster-timeout", p.timeout)
		f.TimedOut = true
		return f
	case end.Signal != "":
		return fail("was ended by a signal (%s)", end.Signal)
	case end.Exit != 0:
		return fail("failed with exit code %d", end.Exit)
	}
	return nil
}

// Failure returns why the plugin's last run failed, or nil. A wrapper may have ended before its report was read, which is waited for.
func (h *Host) Failure(key string) *FailureError {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range slices.Concat(h.running, h.waiting) {
		if r.key != key {
			continue
		}
		h.mu.Unlock()
		select {
		case <-r.done:
		case <-time.After(drainTime):
		}
		h.mu.Lock()
	}
	if p := h.plugins[key]; p != nil {
		return p.failure
	}
	return nil
}

// Busy reports whether time must not count for a request that needs the plugin's credentials: the plugin runs or waits for its turn, or some plugin has the terminal.
func (h *Host) Busy(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	needed := func(r *run) bool { return r.key == key || r.prompts }
	return slices.ContainsFunc(h.running, needed) || slices.ContainsFunc(h.waiting, needed)
}

// Prompting reports whether a plugin has the terminal, so that nothing else should be printed.
func (h *Host) Prompting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.running, func(r *run) bool { return r.prompts })
}

// Abandon ends the plugins that run or wait now.
func (h *Host) Abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range slices.Concat(h.waiting, h.running) {
		r.end()
	}
}

// end makes the wrapper end its plugin. That is not a failure of the plugin, which may run again.
func (r *run) end() {
	r.ended = true
	_ = r.conn.Close()
}

// shut ends all plugins; none begins after it.
func (h *Host) shut() {
	h.mu.Lock()
	h.over = true
	l := h.listener
	h.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	h.Abandon()
}

// drain waits until the wrappers have ended their plugins, for a limited time, and removes the socket's directory.
func (h *Host) drain() {
	h.mu.Lock()
	idle, dir := h.idle, h.dir
	h.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(drainTime):
	}
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
}
