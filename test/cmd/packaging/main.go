// Command packaging knows what a release consists of: file names, the contents of archives, the manifests of a krew
// index. It knows nothing of what the plugins do.
//
//	build  builds a release: archives, SBOMs, checksums
//	index  renders the krew manifests for the archives of a release, in the layout of a krew index
//	check  installs, upgrades and uninstalls the plugins as a user of krew does
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

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("a command is required: build, index or check")
	}
	name, args := args[0], args[1:]
	fs := flag.NewFlagSet("packaging "+name, flag.ContinueOnError)
	switch name {
	case "build":
		var b builder
		b.addFlags(fs)
		if err := parse(fs, args); err != nil {
			return err
		}
		return b.run(ctx)
	case "index":
		var r release
		templates := fs.String("templates", "krew", "directory with the krew templates")
		to := fs.String("to", "dist/krew-index", "directory of the index")
		fs.StringVar(&r.archives, "archives", "dist/release", "directory with the archives of the release")
		fs.StringVar(&r.tag, "tag", "", "tag of the release")
		if err := parse(fs, args); err != nil {
			return err
		}
		return r.writeIndex(*templates, *to, func(url string) string { return url })
	case "check":
		c := check{out: out}
		c.addFlags(fs)
		if err := parse(fs, args); err != nil {
			return err
		}
		return c.runIn(ctx, os.TempDir())
	default:
		return fmt.Errorf("unknown command %q", name)
	}
}

func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%s accepts only flags; got %q", fs.Name(), fs.Arg(0))
	}
	return nil
}
