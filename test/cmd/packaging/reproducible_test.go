package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestEqualBytesInAnyDirectory builds and packs one plugin for this machine from two copies of the sources, in
// directories of different lengths. `make release-check` does the same with a whole release.
func TestEqualBytesInAnyDirectory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it links a plugin twice")
	}
	p, on := plugins()[0], platform{runtime.GOOS, runtime.GOARCH}
	flags := readGoreleaser(t).Builds[0].Flags
	var archives []string
	for _, place := range []string{"one", filepath.Join("another", "deeper", "place")} {
		dir := filepath.Join(t.TempDir(), place)
		for _, part := range []string{"pkg", "plugins"} {
			if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(repository, part))); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range []string{"go.mod", "go.sum", "LICENSE"} {
			data, err := os.ReadFile(filepath.Join(repository, file))
			if err != nil {
				t.Fatal(err)
			}
			if err := writeFile(filepath.Join(dir, file), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		binary := filepath.Join(dir, "dist", p.binary(on))
		build := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"build"}, flags, []string{"-ldflags=-s -w", "-o", binary, "./plugins/kubectl-mesh-svc/cmd/" + p.command()})...)
		build.Dir = dir
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
		if _, err := commandOutput(build); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), dir) {
			t.Errorf("%s contains the path of its directory", binary)
		}
		if err := writeContents(t.Context(), binary, filepath.Dir(binary)); err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(dir, "plugin.tar.gz")
		files := []string{filepath.Join(dir, "LICENSE")}
		for _, name := range p.contents(on) {
			if name != "LICENSE" {
				files = append(files, filepath.Join(dir, "dist", name))
			}
		}
		if err := pack(archive, files...); err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive)
	}
	if a, b := sum(t, archives[0]), sum(t, archives[1]); a != b {
		t.Errorf("two directories made archives with the checksums %s and %s", a, b)
	}
}
