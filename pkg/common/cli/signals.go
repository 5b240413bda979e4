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
	interrupted, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(interrupted, stop)
	if signal.Ignored(syscall.SIGHUP) { // started by nohup: the command outlives its terminal
		return interrupted
	}
	ctx, cancel := context.WithCancel(interrupted)
	context.AfterFunc(ctx, stop)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		<-hangup
		cancel()
	}()
	return ctx
}
