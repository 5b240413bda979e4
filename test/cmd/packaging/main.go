// Command packaging tries the way from a release to a user: it packs an archive per
// plugin, renders the krew manifests against a file server on loopback, has krew's
// own validator judge them, installs the plugins with the real krew and runs them
// through the real kubectl. It knows file names and tools, nothing of what the
// plugins do. `make krew-check` builds what it needs and calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// run parses the arguments and runs the check. Every step is tried; the error says
// how many failed.
func run(ctx context.Context, args []string, out io.Writer) error {
	var c check
	fs := flag.NewFlagSet("packaging", flag.ContinueOnError)
	fs.StringVar(&c.builds, "builds", "dist/krew", "directory with OS_ARCH/kubectl-mesh_* for each platform that was built")
	fs.StringVar(&c.templates, "templates", "krew", "directory with the krew templates")
	fs.StringVar(&c.license, "license", "LICENSE", "licence file that goes into each archive")
	fs.StringVar(&c.tools, "tools", "bin/tools", "directory with kubectl, kubectl-krew and validate-krew-manifest")
	fs.StringVar(&c.tag, "tag", "v0.0.0-dev", "tag of the release to pretend")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return errors.New("no arguments are taken, only flags")
	}
	c.out = out
	work, err := os.MkdirTemp("", "krew-check-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	c.work = work
	return c.run(ctx)
}
