package main

import (
	"archive/tar"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestEqualBytesInAnyDirectory builds one plugin for this machine from two copies of the sources, in directories of different
// lengths. `make release-check` does the same for all platforms.
func TestEqualBytesInAnyDirectory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it links a plugin twice")
	}
	host := platform{runtime.GOOS, runtime.GOARCH}
	if !slices.Contains(platforms(), host) {
		t.Skipf("releases have no %s", host)
	}
	var releases []release
	for _, place := range []string{"one", filepath.Join("another", "deeper", "place")} {
		dir := filepath.Join(t.TempDir(), place)
		copySources(t, dir)
		b := builder{
			release: release{tag: "v1.2.3", archives: filepath.Join(dir, "dist")},
			source:  dir, ldflags: "-s -w", date: time.Unix(1796000000, 0), built: []platform{host}, plugins: plugins()[:1],
		}
		if err := b.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for header, content := range untar(t, filepath.Join(b.archives, plugins()[0].archive(b.tag, host))) {
			if strings.Contains(content, dir) {
				t.Errorf("%s contains the path of its directory", header.Name)
			}
		}
		releases = append(releases, b.release)
	}
	if diff := cmp.Diff(checksums(t, releases[0]), checksums(t, releases[1])); diff != "" {
		t.Errorf("checksums in two directories:\n%s", diff)
	}
}

// copySources copies what a plugin is built from. The copy has no git repository.
func copySources(t *testing.T, dir string) {
	t.Helper()
	for _, part := range []string{"pkg", "plugins"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(repository, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum", licenseName} {
		data, err := os.ReadFile(filepath.Join(repository, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func checksums(t *testing.T, r release) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.archives, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// standIns builds a release in which no platform has a real plugin.
func standIns(t *testing.T) *builder {
	t.Helper()
	b := &builder{release: release{tag: "v1.2.3", archives: filepath.Join(t.TempDir(), "dist")}, source: repository, built: []platform{}}
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReleaseFiles(t *testing.T) {
	t.Parallel()
	b := standIns(t)
	var got []string
	for line := range strings.Lines(checksums(t, b.release)) {
		sum, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if want, err := fileSum(filepath.Join(b.archives, name)); err != nil || !ok || sum != want {
			t.Errorf("line %q: checksum is %s, error %v", line, want, err)
		}
		got = append(got, name)
	}
	var want []string
	for _, p := range plugins() {
		for _, on := range platforms() {
			want = append(want, p.archive(b.tag, on))
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checksums.txt (-want +got):\n%s", diff)
	}
	if sha256sum, err := exec.LookPath("sha256sum"); err == nil {
		cmd := exec.CommandContext(t.Context(), sha256sum, "--check", "--strict", "checksums.txt")
		cmd.Dir = b.archives
		if _, err := commandOutput(cmd); err != nil {
			t.Error(err)
		}
	}
	modes := map[string]int64{}
	for header := range untar(t, filepath.Join(b.archives, plugins()[0].archive(b.tag, platform{"linux", "amd64"}))) {
		modes[header.Name] = header.Mode
		if header.Typeflag != tar.TypeReg || header.Uname != "" || header.Uid != 0 {
			t.Errorf("%s: unexpected header %+v", header.Name, header)
		}
	}
	wantModes := map[string]int64{licenseName: 0o644, noticesFile: 0o644, "kubectl-mesh_svc": 0o755, "kubectl_complete-mesh_svc": 0o755}
	if diff := cmp.Diff(wantModes, modes); diff != "" {
		t.Errorf("files and modes (-want +got):\n%s", diff)
	}
	windowsFiles, err := archiveContents(filepath.Join(b.archives, plugins()[0].archive(b.tag, platform{windows, "amd64"})))
	if diff := cmp.Diff([]string{licenseName, noticesFile, "kubectl-mesh_svc.exe", "kubectl_complete-mesh_svc.cmd"}, windowsFiles); err != nil || diff != "" {
		t.Errorf("Windows, error %v (-want +got):\n%s", err, diff)
	}
}

func TestWriteIndex(t *testing.T) {
	t.Parallel()
	b := standIns(t)
	index := t.TempDir()
	address := func(url string) string { return url }
	if err := b.writeIndex(filepath.Join(repository, "krew"), index, address); err != nil {
		t.Fatal(err)
	}
	for _, p := range plugins() {
		manifest, err := os.ReadFile(filepath.Join(index, "plugins", string(p)+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(checksums(t, b.release)) {
			sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
			if strings.HasPrefix(name, p.command()+"_") && !strings.Contains(string(manifest), name+"\n    sha256: "+sum+"\n") {
				t.Errorf("%s: %s with its checksum is missing", p, name)
			}
		}
	}

	// An archive that lacks a file, and one that is missing.
	archive := filepath.Join(b.archives, plugins()[1].archive(b.tag, platforms()[2]))
	if err := pack(archive, time.Time{}, filepath.Join(repository, licenseName)); err != nil {
		t.Fatal(err)
	}
	if err := b.writeIndex(filepath.Join(repository, "krew"), index, address); err == nil || !strings.Contains(err.Error(), noticesFile) {
		t.Errorf("error = %v, want one that names %s", err, noticesFile)
	}
	if err := os.Remove(archive); err != nil {
		t.Fatal(err)
	}
	if err := b.writeIndex(filepath.Join(repository, "krew"), index, address); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want %v", err, os.ErrNotExist)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no tag":           {[]string{"build"}, "-tag is required"},
		"unknown platform": {[]string{"build", "-tag", "v1", "-platforms", "plan9/386"}, "plan9/386 is not a platform of a release"},
		"an argument":      {[]string{"build", "now"}, `accepts only flags; got "now"`},
		"no command":       {nil, "a command is required"},
		"unknown command":  {[]string{"publish"}, `unknown command "publish"`},
	} {
		if err := run(t.Context(), test.args, os.Stdout); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error = %v, want one with %q", name, err, test.want)
		}
	}
}

// TestSBOM runs a program in place of cyclonedx-gomod that writes its arguments into the SBOM.
func TestSBOM(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == windows {
		t.Skip("its program is a shell script")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "cyclonedx-gomod")
	const script = "#!/bin/sh\nwhile [ \"$1\" != -output ]; do args=\"$args $1\"; shift; done\necho \"$args $3\" > \"$2\"\n"
	if err := writeFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	b := &builder{release: release{tag: "v1.2.3", archives: dir}, sbom: program}
	on := platform{windows, "amd64"}
	if err := b.writeSBOM(t.Context(), plugins()[0], on, "x/kubectl-mesh_svc.exe"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "kubectl-mesh_svc_v1.2.3_windows_amd64.cdx.json"))
	const want = " bin -json -std -noserial -notimestamp -version v1.2.3 x/kubectl-mesh_svc.exe\n"
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("SBOM, error %v (-want +got):\n%s", err, diff)
	}
	b.sbom = "false"
	if err := b.writeSBOM(t.Context(), plugins()[0], on, "x"); err == nil || !strings.Contains(err.Error(), "false bin -json") {
		t.Errorf("error of a program that fails = %v", err)
	}
}
