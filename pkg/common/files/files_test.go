package files

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// replace does what the callers do.
func replace(path, content string) error {
	f, err := Write(path, []byte(content))
	if err != nil {
		return err
	}
	return f.Place()
}

// state is what a file holds, and its mode.
func state(t *testing.T, path string) (string, os.FileMode) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), info.Mode()
}

func write(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A file keeps its mode, and a link stays a link. No temporary file is left.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	write(t, file, 0o640)
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := replace(link, "new"); err != nil {
		t.Fatal(err)
	}
	if text, mode := state(t, file); text != "new" || mode != 0o640 {
		t.Errorf("%q, %v", text, mode)
	}
	if _, mode := state(t, link); mode.Type() != os.ModeSymlink {
		t.Errorf("the link is %v", mode)
	}
	if err := replace(filepath.Join(dir, "another"), "new"); err != nil {
		t.Fatal(err)
	}
	f, err := Write(file, []byte("newer"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Discard(); err != nil {
		t.Fatal(err)
	}
	if text, _ := state(t, file); text != "new" {
		t.Errorf("%q, although the new file was discarded", text)
	}
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 3 {
		t.Errorf("%v, %v", names, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What is not a regular file is not replaced, also by root, and neither is a file that is read-only.
func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("readonly"), 0o400)
	for _, to := range []string{"nothing", os.DevNull} {
		if err := os.Symlink(to, at("to-"+filepath.Base(to))); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		dir: "it is a directory", os.DevNull: "it is not a regular file", at("to-null"): "it is not a regular file", at("to-nothing"): "it is a link to nothing",
		at("readonly"): "it is read-only", at("no/file"): "no does not exist", at("readonly/file"): "not a directory",
	} {
		if err := replace(path, "new"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	if text, _ := state(t, at("readonly")); text != "old" {
		t.Errorf("%q", text)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatalf("%s: %v, %v", os.DevNull, info, err)
	}
}
