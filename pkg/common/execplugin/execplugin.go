// Package execplugin runs the exec credential plugins of kubeconfig files so that they can be ended, timed and kept apart.
//
// client-go starts a plugin, waits for it without a limit, and offers no way to end it. Here client-go starts this program instead, in a hidden mode: the wrapper.
// The wrapper runs the plugin in a process group of its own and hands through what the protocol consists of: KUBERNETES_EXEC_INFO, the other environment
// variables, stdin, stdout, stderr and the exit code. The Host, in the process of the command, decides by a socket when a wrapper may begin, how long
// its plugin may take, and when it must end.
//
// The package knows processes, terminals and client-go's ExecConfig; it does not know clusters.
package execplugin

import "context"

type contextKey struct{}

// WithHost returns a context with a host, which ends all its plugins with the context. release ends them too, and removes the host's socket.
// The host starts this very program as the wrapper: a program that links this package is one, before its main function begins.
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
