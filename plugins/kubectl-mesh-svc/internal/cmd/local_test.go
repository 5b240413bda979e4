package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const localService = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n"

// files writes manifests below a new directory and returns what each now holds, temporary files among them.
func files(t *testing.T, names ...string) (dir string, now func() map[string]string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(localService), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func() map[string]string {
		found := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			found[strings.TrimPrefix(path, dir+"/")] = string(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}

const localGlobal = localService + "  annotations:\n    service.cilium.io/global: \"true\"\n"

// TestInPlace: all files or none, and nothing is announced that does not happen.
func TestInPlace(t *testing.T) {
	t.Parallel()
	dir, now := files(t, "a.yaml", "b/b.yaml")
	_, stderr, code := run(t, "globalize", "--local", "-f", dir, "-R", "--in-place")
	if d := cmp.Diff(map[string]string{"a.yaml": localGlobal, "b/b.yaml": localGlobal}, now()); d != "" || code != 0 || strings.Count(stderr, `<absent> -> "true"`) != 2 {
		t.Errorf("exit code %d: %s\n%s", code, stderr, d)
	}

	// No file can be made beside one with a name as long as this; unlike a mode, that stops root too.
	long := "ro/" + strings.Repeat("x", 245) + ".yaml"
	dir, now = files(t, "rw/a.yaml", long)
	_, stderr, code = run(t, "globalize", "--local", "-f", filepath.Join(dir, "rw"), "-f", filepath.Join(dir, "ro"), "--in-place")
	if d := cmp.Diff(map[string]string{"rw/a.yaml": localService, long: localService}, now()); d != "" || code != 1 {
		t.Errorf("exit code %d: %s", code, d)
	}
	want := fmt.Sprintf("error: --in-place: %s cannot be written: file name too long; nothing was changed\n", filepath.Join(dir, long))
	if d := cmp.Diff(want, stderr); d != "" {
		t.Error(d)
	}
}

// TestReplaceStops: where it stops in the middle after all, what was changed is said and nothing else is left behind.
func TestReplaceStops(t *testing.T) {
	t.Parallel()
	dir, now := files(t, "a.yaml", "c.yaml", "d/kept")
	var list []replacement
	for _, name := range []string{"a.yaml", "d", "c.yaml"} { // a file cannot take the place of a directory
		list = append(list, replacement{filepath.Join(dir, name), []byte("new")})
	}
	err := replaceFiles(list)
	want := fmt.Sprintf("%s/d cannot be written: file exists; changed before it: %s/a.yaml", dir, dir)
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if d := cmp.Diff(map[string]string{"a.yaml": "new", "c.yaml": localService, "d/kept": localService}, now()); d != "" {
		t.Error(d)
	}
}

// TestLocalSaysThatNothingDiffers: silence would not tell a file that is right from one that was not looked at.
func TestLocalSaysThatNothingDiffers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "svc.yaml")
	one := func(name string) string {
		return "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: " + name + "\n  annotations:\n    service.cilium.io/global: \"true\"\n"
	}
	for text, want := range map[string]string{
		one("web"):              "The Service has the values already; nothing is changed.\n",
		one("web") + one("api"): "All 2 Services have the values already; nothing is changed.\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, flag := range []string{"--in-place", "--recursive"} { // the second one prints
			if out, errOut, code := run(t, "globalize", "--local", "-f", file, flag); code != 0 || errOut != want || (out == "") != (flag == "--in-place") {
				t.Errorf("%s: exit code %d, %q, %q", flag, code, out, errOut)
			}
		}
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(one("web"), "true", "false")+one("api")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errOut, _ := run(t, "globalize", "--local", "-f", file, "--in-place"); strings.Contains(errOut, "already") || !strings.Contains(errOut, "service web") {
		t.Error(errOut)
	}
}

// TestLocalNamespace: a Service without a namespace is of the one that -n names; only in default is kubernetes the API server.
func TestLocalNamespace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "svc.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(localService, "web", "kubernetes")), 0o600); err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]string{
		"":             "service default/kubernetes is refused: it is the API server",
		"--namespace=": "service default/kubernetes is refused",
		"-n=default":   "service default/kubernetes is refused",
		"-n=shop":      "service kubernetes: service.cilium.io/global: <absent>",
	} {
		args := []string{"globalize", "kubernetes", "--local", "-f", file}
		if namespace != "" {
			args = append(args, namespace)
		}
		if _, stderr, code := run(t, args...); !strings.Contains(stderr, want) || (code == 0) != (namespace == "-n=shop") {
			t.Errorf("%q: exit code %d, %s", namespace, code, stderr)
		}
	}
}
