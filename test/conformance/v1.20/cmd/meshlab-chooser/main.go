// Command meshlab-chooser chooses the lab's backends with the code of Cilium 1.20. It is started by
// meshlab up --chooser=cilium, listens on a unix socket and is not meant to be called by hand.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/v1.20/chooser"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/v1.20/judge"
)

func main() {
	dir := flag.String("dir", "", "directory of the socket, absolute")
	// Read by nobody: strays are known by it.
	flag.String("state", "", "state directory of the lab, absolute")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(dir string) (err error) {
	if dir == "" {
		return errors.New("--dir is missing")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	j, err := judge.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	return chooser.Serve(ctx, j, dir, os.Stderr)
}
