package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// SignalContext returns a context that ends with Ctrl-C, SIGTERM or SIGHUP. A second Ctrl-C or SIGTERM ends the process at once.
// A second SIGHUP does not: the kernel and the shell each send one when a terminal is closed.
func SignalContext(parent context.Context) context.Context {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, stop)
	if signal.Ignored(syscall.SIGHUP) { // started by nohup: the command outlives its terminal
		return ctx
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		<-hangup
		cancel()
	}()
	return ctx
}
