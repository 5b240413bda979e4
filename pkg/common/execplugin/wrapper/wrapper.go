package wrapper

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// grace is how long a plugin may take to end after it was asked to.
	grace = 250 * time.Millisecond
	// failed is the wrapper's exit code where the plugin has none.
	failed = 1
)

// wrapper ends the process here if it is a wrapper. Go initializes packages in the order of their import paths as soon as those that they import are, so that this
// comes before the packages of Kubernetes, which take more time than all else that a wrapper does; there may be dozens of wrappers at once.
// It also holds for every program that links the package: none can start itself without end.
var _ = exitIfWrapper()

func exitIfWrapper() struct{} {
	if code, wrapper := run(); wrapper {
		os.Exit(code) //nolint:forbidigo // a wrapper ends before main begins
	}
	return struct{}{}
}

// run runs the plugin if this process is a wrapper, and reports whether it was.
func run() (code int, wrapper bool) {
	text := os.Getenv(MarkerEnv)
	if text == "" || len(os.Args) < 3 {
		return 0, false
	}
	var m Marker
	if json.Unmarshal([]byte(text), &m) != nil {
		return failed, true
	}
	conn, err := dial(m.Socket)
	if err != nil {
		return failed, true // the command has ended
	}
	defer func() { _ = conn.Close() }()
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	var may Order
	err = out.Encode(Hello{Token: m.Token, Key: m.Key, PID: os.Getpid(), Prompts: interactive(os.Getenv("KUBERNETES_EXEC_INFO"))})
	if err != nil || in.Decode(&may) != nil || !may.Run {
		return failed, true
	}
	var buffer *stderrBuffer
	if may.HoldStderr {
		buffer = &stderrBuffer{}
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			var then Order
			if in.Decode(&then) != nil { // the command requests the end, or has ended
				return
			}
			if buffer != nil && !then.HoldStderr {
				buffer.release()
			}
		}
	}()
	end := runPlugin(buffer, may.Timeout, gone)
	_ = out.Encode(end) //nolint:errchkjson // the command may have ended
	if end.Error != "" || end.Signal != "" || end.TimedOut {
		return failed, true
	}
	return end.Exit, true
}

// runPlugin runs the plugin and returns how it ended.
func runPlugin(buffer *stderrBuffer, timeout time.Duration, gone <-chan struct{}) Report {
	s, err := newStreams(buffer)
	if err != nil {
		return Report{Error: err.Error()}
	}
	end := supervise(os.Args[1], os.Args[2:], environment(), s, timeout, gone)
	if buffer != nil {
		end.Stderr = buffer.rest()
	}
	return end
}

// environment is what the plugin gets: all but the marker.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, MarkerEnv+"=") })
}

// interactive reads from KUBERNETES_EXEC_INFO whether client-go gave the plugin stdin, a terminal. That is so by interactiveMode and the terminal alone.
func interactive(info string) bool {
	var cred struct {
		Spec struct {
			Interactive bool `json:"interactive"`
		} `json:"spec"`
	}
	return json.Unmarshal([]byte(info), &cred) == nil && cred.Spec.Interactive
}
