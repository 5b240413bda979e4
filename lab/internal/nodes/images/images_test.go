package images

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		name string
		ours bool
	}{
		"meshlab/web":                        {"web", true},
		"meshlab/web:1.0":                    {"web", true},
		"meshlab/web:1.0@sha256:0123":        {"web", true},
		"docker.io/meshlab/curl":             {"curl", true},
		"nginx":                              {},
		"quay.io/cilium/cilium:v1.18.11":     {},
		"quay.io/meshlab/web":                {},
		"registry.example:5000/meshlab/web":  {},
		"mcr.microsoft.com/x/aks-helloworld": {},
	}
	for ref, tt := range tests {
		name, ours := Name(ref)
		if name != tt.name || ours != tt.ours {
			t.Errorf("Name(%q) = %q, %t; want %q, %t", ref, name, ours, tt.name, tt.ours)
		}
	}
}

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), "/does/not/matter")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := open(t)
	if _, err := s.Find("nope"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "busybox, curl, distroless, web, wget") {
		t.Errorf("unknown image: %v", err)
	}
	s.missing["curl"] = "curl dash coreutils"
	delete(s.images, "curl")
	if _, err := s.Find("curl"); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "apt-get install curl") {
		t.Errorf("image without its programs: %v", err)
	}
	install, names := s.Missing()
	if !slices.Contains(install, "curl") || !slices.Contains(names, "curl") {
		t.Errorf("Missing() = %v, %v", install, names)
	}
}

func TestDistrolessHasNothingButTheLab(t *testing.T) {
	t.Parallel()
	img, err := open(t).Find("distroless")
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Root.Binds) != 1 || img.Root.Binds[0].Target != Lab || len(img.Root.Links) > 0 {
		t.Errorf("root holds %+v", img.Root)
	}
}

func TestImagesHaveTheirTools(t *testing.T) {
	t.Parallel()
	s := open(t)
	want := map[string][]string{
		"busybox": {"/bin/busybox", "/bin/sh", "/bin/wget", "/bin/timeout"},
		"curl":    {"/usr/bin/curl", "/bin/sh", "/usr/bin/sleep"},
		"wget":    {"/usr/bin/wget", "/bin/sh", "/usr/bin/sleep"},
		"web":     {Lab},
	}
	for name, files := range want {
		img, err := s.Find(name)
		if errors.Is(err, ErrMissing) {
			t.Log(err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]bool{}
		for _, b := range img.Root.Binds {
			have[b.Target] = true
		}
		for _, l := range img.Root.Links {
			have[l.Name] = true
		}
		for _, f := range files {
			if !have[f] {
				t.Errorf("image %s lacks %s", name, f)
			}
		}
		if len(img.Command) == 0 || !slices.ContainsFunc(img.Env, func(kv string) bool { return strings.HasPrefix(kv, "PATH=") }) {
			t.Errorf("image %s: command %q, environment %q", name, img.Command, img.Env)
		}
	}
}

func TestClosure(t *testing.T) {
	t.Parallel()
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	libs, err := Closure(sh)
	if err != nil {
		t.Fatal(err)
	}
	for _, lib := range libs {
		if lib == sh {
			t.Error("the program itself is among its libraries")
		}
		if _, err := os.Stat(lib); err != nil {
			t.Error(err)
		}
	}
	f, err := os.Open(sh)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 4096)
	n, err := f.Read(head)
	if err != nil {
		t.Fatal(err)
	}
	if dynamic := strings.Contains(string(head[:n]), "/ld-"); dynamic && len(libs) < 2 {
		t.Errorf("a dynamic program needs its loader and libc, got %q", libs)
	}
	if !slices.IsSorted(libs) {
		t.Errorf("not sorted: %q", libs)
	}
}

func TestClosureOfWhatIsNoProgram(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if libs, err := Closure(script); err != nil || len(libs) > 0 {
		t.Errorf("script: %q, %v", libs, err)
	}
	if _, err := Closure(script + ".missing"); err == nil {
		t.Error("a file that is not there has no closure")
	}
}
