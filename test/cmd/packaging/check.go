package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// check is one run over all plugins.
type check struct {
	builds, templates, license, tools, tag string
	work                                   string // a directory of our own
	out                                    io.Writer

	server         string // base URL of the archives
	sums           map[string]string
	passed, failed int
}

// notBuilt stands for the checksum of an archive that this run did not pack. It has
// letters only: digits alone would be a number in YAML.
const notBuilt = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

func (c *check) run(ctx context.Context) error {
	// The tools run in another directory and find one another on the PATH.
	for _, dir := range []*string{&c.builds, &c.templates, &c.license, &c.tools} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	built, err := builtPlatforms(c.builds)
	if err != nil {
		return err
	}
	if host := (platform{runtime.GOOS, runtime.GOARCH}); !slices.Contains(built, host) {
		return fmt.Errorf("%s was not built for this machine, %s", c.builds, host)
	}
	stop, err := c.serve(filepath.Join(c.work, "archives"))
	if err != nil {
		return err
	}
	defer stop()

	c.sums = map[string]string{}
	for _, p := range plugins() {
		c.checkPlugin(ctx, p, built)
	}
	c.checkThroughKubectl(ctx)
	_, _ = fmt.Fprintf(c.out, "%d passed, %d failed\n", c.passed, c.failed)
	if c.failed > 0 {
		return fmt.Errorf("%d of %d packaging checks failed", c.failed, c.passed+c.failed)
	}
	return nil
}

// serve offers a directory on loopback, as a release's download page would.
func (c *check) serve(dir string) (stop func(), err error) {
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // archives are for everybody
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Minute}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	c.server = "http://" + listener.Addr().String()
	return func() { _ = server.Close(); done.Wait() }, nil
}

// checkPlugin packs, renders, validates and installs one plugin. A later step needs
// the earlier ones, so the first failure ends it.
func (c *check) checkPlugin(ctx context.Context, p plugin, built []platform) {
	full := filepath.Join(c.work, "full", string(p)+".yaml")
	installable := filepath.Join(c.work, "installable", string(p)+".yaml")
	steps := []struct {
		name string
		do   func() error
	}{
		{fmt.Sprintf("archives packed for %v", built), func() error { return c.pack(p, built) }},
		{"template renders", func() error { return c.render(p, full, installable, built) }},
		{"manifest of all platforms is well formed", func() error {
			return c.tool(ctx, "validate-krew-manifest", "-skip-install", "-manifest", full)
		}},
		{fmt.Sprintf("manifest validates and installs for %v", built), func() error {
			return c.tool(ctx, "validate-krew-manifest", "-manifest", installable)
		}},
		{"krew installs it here", func() error {
			return c.tool(ctx, "kubectl", "krew", "install", "--manifest", installable)
		}},
	}
	for _, step := range steps {
		if !c.report(string(p)+": "+step.name, step.do()) {
			return
		}
	}
}

func (c *check) pack(p plugin, built []platform) error {
	for _, on := range built {
		name := p.archive(c.tag, on)
		binary := filepath.Join(c.builds, on.OS+"_"+on.Arch, p.binary(on))
		sum, err := pack(filepath.Join(c.work, "archives", name), binary, c.license)
		if err != nil {
			return err
		}
		c.sums[name] = sum
	}
	return nil
}

// render writes two manifests: one of all platforms, in which what was not built
// keeps its release address and has no true checksum, and one of what was built.
func (c *check) render(p plugin, full, installable string, built []platform) error {
	text, err := os.ReadFile(filepath.Join(c.templates, string(p)+".yaml"))
	if err != nil {
		return err
	}
	manifest, err := render(text, c.tag, func(url string) (asset, error) {
		name := path.Base(url)
		if sum, ok := c.sums[name]; ok {
			return asset{uri: c.server + "/" + name, sha256: sum}, nil
		}
		return asset{uri: url, sha256: notBuilt}, nil
	})
	if err != nil {
		return err
	}
	kept, err := keepPlatforms(manifest, built)
	if err != nil {
		return err
	}
	if bytes.Contains(kept, []byte(notBuilt)) {
		return errors.New("the template names an archive of a built platform otherwise than the release does")
	}
	return errors.Join(writeFile(full, manifest), writeFile(installable, kept))
}

func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil { //nolint:gosec // manifests are public
		return err
	}
	return os.WriteFile(name, data, 0o644) //nolint:gosec // manifests are public
}

// checkThroughKubectl runs what krew installed, and nothing else, through kubectl.
func (c *check) checkThroughKubectl(ctx context.Context) {
	for _, run := range []struct {
		args []string
		want []string
	}{
		{[]string{"mesh-svc", "version"}, []string{"kubectl mesh-svc " + c.tag}},
		{[]string{"mesh-ca", "version"}, []string{"kubectl mesh-ca " + c.tag}},
		{[]string{"mesh-probe", "version"}, []string{"kubectl mesh-probe " + c.tag}},
		{[]string{"mesh-svc", "--help"}, []string{"Usage:", "kubectl mesh-svc [command]", "globalize"}},
		{[]string{"mesh-ca", "sync", "--help"}, []string{"Usage:", "kubectl mesh-ca sync", "--from"}},
		{[]string{"mesh-probe", "--help"}, []string{"Usage:", "kubectl mesh-probe", "--from"}},
		{[]string{"plugin", "list", "--name-only"}, []string{"kubectl-mesh_svc", "kubectl-mesh_ca", "kubectl-mesh_probe"}},
	} {
		out, err := c.output(ctx, "kubectl", run.args...)
		for _, want := range run.want {
			if err == nil && !strings.Contains(out, want) {
				err = fmt.Errorf("output lacks %q:\n%s", want, out)
			}
		}
		c.report("kubectl "+strings.Join(run.args, " "), err)
	}
}

func (c *check) tool(ctx context.Context, name string, args ...string) error {
	_, err := c.output(ctx, name, args...)
	return err
}

// output runs a tool as a user without any configuration, who has nothing but our
// tools and what krew installed on the PATH, and returns its stdout.
func (c *check) output(ctx context.Context, name string, args ...string) (string, error) {
	root := filepath.Join(c.work, "krew")
	cmd := exec.CommandContext(ctx, filepath.Join(c.tools, name), args...)
	cmd.Dir = c.work
	cmd.Env = []string{
		"HOME=" + c.work,
		"TMPDIR=" + c.work,
		"KREW_ROOT=" + root,
		"KREW_NO_UPGRADE_CHECK=1",
		"PATH=" + filepath.Join(root, "bin") + string(os.PathListSeparator) + c.tools,
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
		c.failed++
		_, _ = fmt.Fprintf(c.out, "FAIL  %s\n      %s\n", name, strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n      "))
		return false
	}
	c.passed++
	_, _ = fmt.Fprintf(c.out, "ok    %s\n", name)
	return true
}
