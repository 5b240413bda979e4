package main

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fixture writes files and returns their directory.
func fixture(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := writeFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestNoticeFiles(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files    map[string]string
		packages []string
		want     []string
		wantErr  string
	}{
		"license, notice and patents at the root": {
			files: map[string]string{"LICENSE": "", "NOTICE": "", "PATENTS": "", "README.md": "", "license.go": "", "notice_test.go": ""},
			want:  []string{"LICENSE", "NOTICE", "PATENTS"},
		},
		"other names": {
			files: map[string]string{"LICENSE.MIT": "", "LICENSE-APACHE": "", "COPYING": "", "licence.txt": "", "NOTICE.txt": ""},
			want:  []string{"COPYING", "LICENSE-APACHE", "LICENSE.MIT", "NOTICE.txt", "licence.txt"},
		},
		"copied code that is linked in, and copied code that is not": {
			files: map[string]string{
				"LICENSE": "", "third_party/forked/LICENSE": "", "third_party/forked/json/json.go": "", "third_party/other/LICENSE": "",
			},
			packages: []string{"third_party/forked/json"},
			want:     []string{"LICENSE", "third_party/forked/LICENSE"},
		},
		"no license": {
			files:   map[string]string{"README.md": ""},
			wantErr: "example.com/m v1.0.0 has no license file",
		},
		"only a notice": {
			files:   map[string]string{"NOTICE": ""},
			wantErr: "example.com/m v1.0.0 has no license file",
		},
		"a license, but only of copied code": {
			files:    map[string]string{"third_party/LICENSE": ""},
			packages: []string{"third_party"},
			wantErr:  "example.com/m v1.0.0 has no license file",
		},
		"a directory with that name": {
			files:   map[string]string{"LICENSE/text": ""},
			wantErr: "example.com/m v1.0.0 has no license file",
		},
		"a package of another module": {
			files:    map[string]string{"LICENSE": ""},
			packages: []string{"../elsewhere"},
			wantErr:  "is not below",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			module := linkedModule{Path: "example.com/m", Version: "v1.0.0", Dir: fixture(t, test.files)}
			for _, pkg := range test.packages {
				module.Packages = append(module.Packages, filepath.Join(module.Dir, pkg))
			}
			got, err := noticeFiles(module)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error = %v, want one with %q", err, test.wantErr)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("error %v, files (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestWriteNotices(t *testing.T) {
	t.Parallel()
	a := linkedModule{Path: "example.com/a", Version: "v1.0.0", Dir: fixture(t, map[string]string{"LICENSE": "shared\r\ntext\r\n"})}
	b := linkedModule{Path: "example.com/b", Version: "v2.0.0", Dir: fixture(t, map[string]string{"LICENSE": "shared\ntext\n", "NOTICE": "by B\n"})}
	line := strings.Repeat("=", 80)
	want := "plugin contains code of the modules that are listed here, under the licenses below their names.\n" +
		"\n" + line + "\nexample.com/a v1.0.0 (LICENSE)\nexample.com/b v2.0.0 (LICENSE)\n" + line + "\n\nshared\ntext\n" +
		"\n" + line + "\nexample.com/b v2.0.0 (NOTICE)\n" + line + "\n\nby B\n"
	got, err := writeNotices("plugin", []linkedModule{b, a})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, notices (-want +got):\n%s", err, diff)
	}

	// Every module without a license is named, not only the first.
	c := linkedModule{Path: "example.com/c", Dir: t.TempDir()}
	d := linkedModule{Path: "example.com/d", Dir: t.TempDir()}
	if _, err := writeNotices("plugin", []linkedModule{d, a, c}); err == nil ||
		!strings.Contains(err.Error(), "example.com/c has no license file") || !strings.Contains(err.Error(), "example.com/d has no license file") {
		t.Errorf("error = %v, want one that names c and d", err)
	}
}

func TestParsePackages(t *testing.T) {
	t.Parallel()
	const list = `{"Dir": "/go/src/fmt", "Standard": true}
		{"Dir": "/cache/a@v1/x", "Module": {"Path": "example.com/a", "Version": "v1.0.0", "Dir": "/cache/a@v1"}}
		{"Dir": "/cache/a@v1/y", "Module": {"Path": "example.com/a", "Version": "v1.0.0", "Dir": "/cache/a@v1"}}
		{"Dir": "/src/main", "Module": {"Path": "example.com/main", "Dir": "/src"}}`
	want := []linkedModule{{Path: "example.com/a", Version: "v1.0.0", Dir: "/cache/a@v1", Packages: []string{"/cache/a@v1/x", "/cache/a@v1/y"}}}
	got, err := parsePackages([]byte(list), "example.com/main")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, modules (-want +got):\n%s", err, diff)
	}
	const replaced = `{"Dir": "/fork", "Module": {"Path": "example.com/a", "Version": "v1.0.0", "Replace": {"Path": "../fork", "Dir": "/fork"}}}`
	if _, err := parsePackages([]byte(replaced), "example.com/main"); err == nil || !strings.Contains(err.Error(), "example.com/a is replaced") {
		t.Errorf("error = %v, want one that names the replaced module", err)
	}
}

func TestCompareWithBuildInfo(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Deps: []*debug.Module{{Path: "example.com/a", Version: "v1.0.0"}}}
	for name, test := range map[string]struct {
		modules []linkedModule
		ok      bool
	}{
		"the same":        {[]linkedModule{{Path: "example.com/a", Version: "v1.0.0"}}, true},
		"another version": {[]linkedModule{{Path: "example.com/a", Version: "v1.0.1"}}, false},
		"one is missing":  {nil, false},
		"one too many":    {[]linkedModule{{Path: "example.com/a", Version: "v1.0.0"}, {Path: "example.com/b", Version: "v1.0.0"}}, false},
	} {
		if err := compareWithBuildInfo(test.modules, info); (err == nil) != test.ok {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

// TestLinkedModulesOfThisTest reads a real binary: the one that runs this test.
func TestLinkedModulesOfThisTest(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	info.Path = strings.TrimSuffix(info.Path, ".test") // the name of the package, without the suffix of a test binary
	modules, err := linkedModules(t.Context(), repository, info)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"github.com/google/go-cmp", "sigs.k8s.io/yaml", "Go standard library"} {
		if !slices.ContainsFunc(modules, func(m linkedModule) bool { return m.Path == want && m.Dir != "" }) {
			t.Errorf("%s is missing in %v", want, modules)
		}
	}
	if _, err := writeNotices("test", modules); err != nil {
		t.Errorf("notices: %v", err)
	}
	// A binary of another source tree.
	info.Deps = info.Deps[1:]
	if _, err := linkedModules(t.Context(), repository, info); err == nil || !strings.Contains(err.Error(), "not built from this source tree") {
		t.Errorf("error = %v, want one that says that go list names other modules", err)
	}
}
