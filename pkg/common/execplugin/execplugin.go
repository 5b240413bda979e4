// Package execplugin runs the exec credential plugins of kubeconfig files so that they can be ended, timed and kept apart.
//
// client-go starts a plugin, waits for it without a limit, and offers no way to end it. Here client-go starts this program instead, in a hidden mode: the wrapper.
// The wrapper runs the plugin in a process group of its own and hands through what the protocol consists of: KUBERNETES_EXEC_INFO, the other environment
// variables, stdin, stdout, stderr and the exit code. The Host, in the process of the command, decides by a socket when a wrapper may begin, how long
// its plugin may take, and when it must end.
//
// The package knows processes, terminals and client-go's ExecConfig; it does not know clusters.
package execplugin

import (
	"context"
	"time"
)

// markerEnv tells a process that it is a wrapper, and how to reach its host. The plugin does not see it.
const markerEnv = "KUBECTL_MESH_EXEC_PLUGIN"

// marker is the value of markerEnv.
type marker struct {
	Socket string `json:"socket"`
	Token  string `json:"token"` // proves to the host that it started the wrapper
	Key    string `json:"key"`
}

// hello is the first message of a wrapper.
type hello struct {
	Token   string `json:"token"`
	Key     string `json:"key"`
	Prompts bool   `json:"prompts"` // client-go gave the plugin the terminal
}

// order is the host's answer: the plugin may run, or not at all.
type order struct {
	Run     bool          `json:"run"`
	Timeout time.Duration `json:"timeout"`
}

// report is the last message of a wrapper.
type report struct {
	Exit     int    `json:"exit"`
	Signal   string `json:"signal,omitempty"`
	Error    string `json:"error,omitempty"` // the plugin could not be started
	TimedOut bool   `json:"timedOut,omitempty"`
	// Stopped: the plugin tried to use the terminal, which it did not have.
	Stopped bool `json:"stopped,omitempty"`
}

type contextKey struct{}

// WithHost returns a context with a host, which ends all its plugins with the context. release ends them too, and removes the host's socket.
// It is for main functions that call Main first: the host starts this very program as the wrapper.
func WithHost(ctx context.Context) (with context.Context, release func()) {
	h := newHost()
	stop := context.AfterFunc(ctx, h.shut)
	return context.WithValue(ctx, contextKey{}, h), func() {
		stop()
		h.shut()
		h.drain()
	}
}

// FromContext returns the host of the context, or nil: client-go then runs the plugins itself.
func FromContext(ctx context.Context) *Host {
	h, _ := ctx.Value(contextKey{}).(*Host)
	return h
}
