package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// check is one run over all plugins: a release, and an older one from which users upgrade.
type check struct {
	archives, older, templates, tools, tag, olderTag string
	out                                              io.Writer

	work   string // a directory of our own
	passed int
}

func (c *check) addFlags(fs *flag.FlagSet) {
	fs.StringVar(&c.archives, "archives", "dist/release", "directory with the archives of the release")
	fs.StringVar(&c.tag, "tag", "", "tag of the release")
	fs.StringVar(&c.older, "older", "dist/krew/old", "directory with the archives of an older release")
	fs.StringVar(&c.olderTag, "older-tag", "", "tag of the older release")
	fs.StringVar(&c.templates, "templates", "krew", "directory with the krew templates")
	fs.StringVar(&c.tools, "tools", "bin/tools", "directory with kubectl, kubectl-krew and validate-krew-manifest")
}

// runIn runs the check in a temporary directory below dir. A step needs the earlier ones, so the first failure ends it.
func (c *check) runIn(ctx context.Context, dir string) (err error) {
	// The tools run in another directory and find one another on the PATH.
	for _, dir := range []*string{&c.archives, &c.older, &c.templates, &c.tools} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
	}
	if c.work, err = os.MkdirTemp(dir, "krew-check-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.work)) }()
	served := filepath.Join(c.work, "archives")
	if err := os.Mkdir(served, 0o755); err != nil { //nolint:gosec // archives are for everybody
		return err
	}
	server, stop, err := serve(served)
	if err != nil {
		return err
	}
	defer stop()

	steps := c.prepare(ctx, served, server)
	steps = append(steps, c.user(ctx)...)
	for _, step := range steps {
		if !c.report(step.name, step.do()) {
			return fmt.Errorf("%d passed, 1 failed, %d not run", c.passed, len(steps)-c.passed-1)
		}
	}
	_, _ = fmt.Fprintf(c.out, "%d passed, 0 failed\n", c.passed)
	return nil
}

type step struct {
	name string
	do   func() error
}

// prepare offers both releases for download, renders their manifests, and validates those of the newer one.
func (c *check) prepare(ctx context.Context, served, server string) []step {
	place := func(url string) string { return server + "/" + path.Base(url) }
	older, newer := release{c.olderTag, c.older}, release{c.tag, c.archives}
	steps := []step{
		{"archives and manifests of " + older.tag, func() error {
			return errors.Join(linkFiles(older.archives, served), older.writeIndex(c.templates, c.index(older.tag), place))
		}},
		{"archives and manifests of " + newer.tag, func() error {
			return errors.Join(linkFiles(newer.archives, served), newer.writeIndex(c.templates, c.index(newer.tag), place))
		}},
	}
	for _, p := range plugins() {
		steps = append(steps, step{fmt.Sprintf("validate-krew-manifest installs %s on all of %v", p, platforms()), func() error {
			return c.tool(ctx, "validate-krew-manifest", "-manifest", filepath.Join(c.index(c.tag), "plugins", string(p)+".yaml"))
		}})
	}
	return steps
}

// index is the directory with the manifests of a release.
func (c *check) index(tag string) string { return filepath.Join(c.work, "index-"+tag) }

// linkFiles makes the archives of a release available in another directory.
func linkFiles(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.tar.gz"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Symlink(file, filepath.Join(to, filepath.Base(file))); err != nil {
			return err
		}
	}
	return nil
}

// serve offers a directory on loopback, as a release's download page would.
func serve(dir string) (url string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Minute}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	return "http://" + listener.Addr().String(), func() { _ = server.Close(); done.Wait() }, nil
}

func (c *check) tool(ctx context.Context, name string, args ...string) error {
	_, err := c.output(ctx, name, args...)
	return err
}

// output runs a tool as a user without any configuration, who has nothing but our
// tools, git, sh and what krew installed on the PATH. It returns its stdout.
func (c *check) output(ctx context.Context, name string, args ...string) (string, error) {
	root := filepath.Join(c.work, "krew")
	dirs := []string{filepath.Join(root, "bin"), c.tools, filepath.Join(c.work, "bin")}
	tool := filepath.Join(c.tools, name)
	if name == "git" {
		tool = filepath.Join(c.work, "bin", "git")
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = c.work
	cmd.Env = []string{
		"HOME=" + c.work,
		"TMPDIR=" + c.work,
		"GIT_CONFIG_NOSYSTEM=1",
		"KREW_ROOT=" + root,
		"KREW_NO_UPGRADE_CHECK=1",
		"PATH=" + strings.Join(dirs, string(os.PathListSeparator)),
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// report counts and prints a step, and says whether it passed.
func (c *check) report(name string, err error) bool {
	if err != nil {
		_, _ = fmt.Fprintf(c.out, "FAIL  %s\n      %s\n", name, strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n      "))
		return false
	}
	c.passed++
	_, _ = fmt.Fprintf(c.out, "ok    %s\n", name)
	return true
}
