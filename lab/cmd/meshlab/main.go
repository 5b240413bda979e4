// Command meshlab runs the embedded mesh that the plugins are tried and tested on.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/cli"
)

const exitInterrupted = 130

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := cli.NewCommand(os.Stdout, os.Stderr).ExecuteContext(ctx); err != nil {
		if ctx.Err() != nil {
			_, _ = fmt.Fprintln(os.Stderr, "error: interrupted")
			return exitInterrupted
		}
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return 1
	}
	return 0
}
