package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// user is what a user of krew does, in order: add our index, install, run, upgrade, uninstall. Between install and
// upgrade, the index gets a newer release, as when a maintainer publishes one.
func (c *check) user(ctx context.Context) []step {
	index := filepath.Join(c.work, "index")
	krew := func(args ...string) step {
		args = append([]string{"krew"}, args...)
		return step{"kubectl " + strings.Join(args, " "), func() error { return c.tool(ctx, "kubectl", args...) }}
	}
	install, names := []string{"install"}, []string{}
	for _, p := range plugins() {
		install = append(install, "mesh/"+string(p))
		names = append(names, string(p))
	}
	var steps []step
	steps = append(steps,
		step{"a git repository has the manifests of " + c.olderTag, func() error {
			return errors.Join(c.linkPrograms(), c.tool(ctx, "git", "init", "--quiet", "--initial-branch=main", index), c.publish(ctx, index, c.olderTag))
		}},
		krew("index", "add", "mesh", "file://"+index),
		krew(install...))
	steps = append(steps, c.runs(ctx, c.olderTag)...)
	steps = append(steps,
		step{"the git repository gets the manifests of " + c.tag, func() error { return c.publish(ctx, index, c.tag) }},
		krew("upgrade"))
	steps = append(steps, c.runs(ctx, c.tag)...)
	steps = append(steps, c.installed()...)
	steps = append(steps, step{"kubectl completes the plugins", func() error { return c.completion(ctx) }})
	return append(steps,
		krew(append([]string{"uninstall"}, names...)...),
		step{"nothing is left on the PATH", func() error { return c.nothingLeft(ctx) }},
		krew("index", "remove", "mesh"))
}

// linkPrograms makes git, for krew, and sh, for the completion scripts, available, and nothing else of the machine.
func (c *check) linkPrograms() error {
	dir := filepath.Join(c.work, "bin")
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // it has programs that everybody may run
		return err
	}
	for _, name := range []string{"git", "sh"} {
		program, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// completion does what docs/install.md says, and asks kubectl to complete the beginning of a command.
func (c *check) completion(ctx context.Context) error {
	for _, p := range plugins() {
		script, err := c.output(ctx, "kubectl", string(p), "completion", "kubectl")
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(c.work, "bin", p.completion(runtime.GOOS)), []byte(script), 0o755); err != nil {
			return err
		}
		out, err := c.output(ctx, "kubectl", "__complete", string(p), "versio")
		if err != nil {
			return err
		}
		if !strings.HasPrefix(out, "version\t") {
			return fmt.Errorf("kubectl completes %q to %q", string(p)+" versio", out)
		}
	}
	return nil
}

// publish commits the manifests of a release to the index.
func (c *check) publish(ctx context.Context, index, tag string) error {
	if err := os.RemoveAll(filepath.Join(index, "plugins")); err != nil {
		return err
	}
	if err := os.CopyFS(index, os.DirFS(c.index(tag))); err != nil {
		return err
	}
	return errors.Join(
		c.tool(ctx, "git", "-C", index, "add", "--all"),
		c.tool(ctx, "git", "-C", index, "-c", "user.name=release", "-c", "user.email=release@localhost", "commit", "--quiet", "--message", tag))
}

// runs are commands through kubectl, with a text that each must print.
func (c *check) runs(ctx context.Context, tag string) []step {
	var steps []step
	for _, run := range []struct{ args, want string }{
		{"mesh-svc version", "kubectl mesh-svc " + tag + " ("},
		{"mesh-ca version", "kubectl mesh-ca " + tag + " ("},
		{"mesh-probe version", "kubectl mesh-probe " + tag + " ("},
		{"mesh-svc globalize --help", "Usage:\n  kubectl mesh-svc globalize "},
		{"mesh-ca sync --help", "Usage:\n  kubectl mesh-ca sync "},
		{"mesh-probe --help", "Usage:\n  kubectl mesh-probe "},
	} {
		steps = append(steps, step{"kubectl " + run.args + " of " + tag, func() error {
			out, err := c.output(ctx, "kubectl", strings.Fields(run.args)...)
			if err == nil && !strings.Contains(out, run.want) {
				err = fmt.Errorf("output lacks %q:\n%s", run.want, out)
			}
			return err
		}})
	}
	return steps
}

// installed checks that the licenses reach the user too.
func (c *check) installed() []step {
	var steps []step
	for _, p := range plugins() {
		for _, name := range []string{licenseName, noticesFile} {
			steps = append(steps, step{name + " of " + string(p) + " is installed", func() error {
				_, err := os.Stat(filepath.Join(c.work, "krew", "store", string(p), c.tag, name))
				return err
			}})
		}
	}
	return steps
}

func (c *check) nothingLeft(ctx context.Context) error {
	out, err := c.output(ctx, "kubectl", "plugin", "list", "--name-only")
	if err != nil {
		return err
	}
	for _, p := range plugins() {
		if strings.Contains(out, p.command()) {
			return fmt.Errorf("kubectl still finds %s:\n%s", p.command(), out)
		}
	}
	return nil
}
