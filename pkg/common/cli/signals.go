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

// SurviveBrokenPipes keeps a reader that goes away, as in `2>&1 | grep -m1 ...`, from ending the process: by default, Go ends a process that writes to
// a closed stdout or stderr. A command that writes to clusters calls it before the first write, so that it ends what it has begun; a command that
// only reads had better end. The handler is not passed on to child processes, as an ignored signal would be.
func SurviveBrokenPipes() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}
