package build

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("own.go", "package own")
	own := listedPackage{ImportPath: "example/own", Dir: dir, Module: &listedModule{Path: "example", Main: true}, GoFiles: []string{"own.go"}}
	other := listedPackage{ImportPath: "other/pkg", Dir: "/nowhere", Module: &listedModule{Path: "other", Version: "v1.0.0"}, GoFiles: []string{"a.go"}}
	std := listedPackage{ImportPath: "fmt", Dir: "/nowhere", Standard: true, GoFiles: []string{"print.go"}}
	base := func() []listedPackage { return []listedPackage{own, other, std} }
	sum := func(packages []listedPackage, salts ...string) string {
		t.Helper()
		h, err := hash(packages, salts)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first := sum(base(), "go1.26.8")

	for name, tc := range map[string]struct {
		got  string
		same bool
	}{
		"again":                     {sum(base(), "go1.26.8"), true},
		"another order":             {sum([]listedPackage{std, own, other}, "go1.26.8"), true},
		"another Go":                {sum(base(), "go1.27.0"), false},
		"one package less":          {sum(base()[:1], "go1.26.8"), false},
		"another version":           {sum([]listedPackage{own, {ImportPath: other.ImportPath, Module: &listedModule{Path: "other", Version: "v1.0.1"}}, std}, "go1.26.8"), false},
		"replaced by a version":     {sum([]listedPackage{own, {ImportPath: other.ImportPath, Module: &listedModule{Path: "other", Version: "v1.0.0", Replace: &listedModule{Path: "fork", Version: "v1.0.0"}}}, std}, "go1.26.8"), false},
		"files of the standard lib": {sum([]listedPackage{own, other, {ImportPath: "fmt", Standard: true}}, "go1.26.8"), true},
	} {
		if (tc.got == first) != tc.same {
			t.Errorf("%s: hash %s, first %s, want the same: %v", name, tc.got, first, tc.same)
		}
	}

	write("own.go", "package own // changed")
	if sum(base(), "go1.26.8") == first {
		t.Error("a changed file of this repository does not change the hash")
	}
	replaced := []listedPackage{{ImportPath: "root/pkg", Dir: dir, GoFiles: []string{"own.go"},
		Module: &listedModule{Path: "root", Version: "v0.0.0", Replace: &listedModule{Path: "../"}}}}
	before := sum(replaced)
	write("own.go", "package own // changed again")
	if sum(replaced) == before {
		t.Error("a changed file of a module beside this one does not change the hash")
	}
}

func TestHashOfAMissingFile(t *testing.T) {
	t.Parallel()
	packages := []listedPackage{{ImportPath: "own", Dir: t.TempDir(), Module: &listedModule{Main: true}, GoFiles: []string{"gone.go"}}}
	if _, err := hash(packages, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("want that the file does not exist, got %v", err)
	}
}

func TestFindSource(t *testing.T) {
	t.Parallel()
	clone := t.TempDir()
	for dir, content := range map[string]string{
		"lab":          "module " + Module + "\n\ngo 1.26\n",
		"plugins/x":    "",
		"lab/internal": "",
	} {
		if err := os.MkdirAll(filepath.Join(clone, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if content != "" {
			if err := os.WriteFile(filepath.Join(clone, dir, "go.mod"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, from := range []string{".", "lab", "lab/internal", "plugins/x"} {
		got, err := FindSource(filepath.Join(clone, from))
		if err != nil || got != filepath.Join(clone, "lab") {
			t.Errorf("from %s: %s, %v", from, got, err)
		}
	}
	if _, err := FindSource(t.TempDir()); err == nil || !strings.Contains(err.Error(), "clone of kubectl-mesh") {
		t.Errorf("outside a clone: want an error that names the way out, got %v", err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	b := &Builder{Cache: t.TempDir(), Log: &bytes.Buffer{}}
	now := time.Now()
	for name, age := range map[string]time.Duration{"old": unusedFor + time.Hour, "new": time.Hour} {
		dir := filepath.Join(b.Cache, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.prune(now.Add(-unusedFor)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(b.Cache)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "new" {
		t.Errorf("left: %v, want new alone", entries)
	}
}

func TestKubernetesVersionIsThatOfTheModule(t *testing.T) {
	t.Parallel()
	for version, file := range kubernetesModFiles {
		file = cmp.Or(file, "go.mod")
		data, err := os.ReadFile(filepath.Join("../../..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte("k8s.io/kubernetes v"+version+"\n")) {
			t.Errorf("%s does not require k8s.io/kubernetes v%s, which the API servers would claim to be", file, version)
		}
	}
}

func TestCiliumVersionIsThatOfItsModule(t *testing.T) {
	t.Parallel()
	for _, version := range CiliumVersions() {
		file := filepath.Join("../../..", Cilium(version).Module, "go.mod")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte("github.com/cilium/cilium v"+version+" ")) {
			t.Errorf("%s does not require Cilium %s, which the programs would claim to be", file, version)
		}
	}
}

// Compiling Kubernetes takes minutes; whoever builds meshlab must not wait for it.
func TestOnlyTheControlPlaneImportsKubernetes(t *testing.T) {
	t.Parallel()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	source, err := FindSource(wd)
	if err != nil {
		t.Fatal(err)
	}
	b := &Builder{Source: source, Log: os.Stderr}
	for program, want := range map[string]bool{"meshlab": false, "meshlab-net": false, "meshlab-pod": false, "meshlab-cluster": true} {
		list, err := b.goCommand(t.Context(), Group{}, "list", "-deps", "./cmd/"+program).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(list, []byte("\nk8s.io/kubernetes/")); got != want {
			t.Errorf("%s imports k8s.io/kubernetes: %v, want %v", program, got, want)
		}
		if bytes.Contains(list, []byte("github.com/cilium/cilium")) {
			t.Errorf("%s imports Cilium, which only the module of the chooser may", program)
		}
	}
}

func TestEnsureTakesWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	group := Group{Programs: []string{"meshlab-net", "meshlab-pod"}}
	if complete(dir, group) {
		t.Error("an empty directory is taken for built programs")
	}
	for i, name := range group.Programs {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if want := i == 1; complete(dir, group) != want {
			t.Errorf("after %s: complete is %v", name, !want)
		}
	}
}
