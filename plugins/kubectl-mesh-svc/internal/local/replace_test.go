package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/files"
)

// TestReplaceStops: where it stops in the middle after all, what was changed is reported and nothing else is left behind.
func TestReplaceStops(t *testing.T) {
	t.Parallel()
	dir, list := threeFiles(t)
	var ready []*files.New
	for _, r := range list {
		f, err := files.Write(r.name, r.content)
		if err != nil {
			t.Fatal(err)
		}
		ready = append(ready, f)
	}
	if err := ready[1].Discard(); err != nil { // somebody cleans up meanwhile
		t.Fatal(err)
	}
	err := place(list, ready)
	if says := fmt.Sprintf("%s/b.yaml cannot be written: no such file or directory; changed before it: %s/a.yaml", dir, dir); err == nil || !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), says) {
		t.Errorf("%v, want %s", err, says)
	}
	holds(t, dir, map[string]string{"a.yaml": "new", "b.yaml": "old", "c.yaml": "old"})
}

// TestReplaceOnlyFiles: a device, a pipe or a directory is not replaced, also by root, and then no file is.
func TestReplaceOnlyFiles(t *testing.T) {
	t.Parallel()
	dir, list := threeFiles(t)
	for _, name := range []string{dir, os.DevNull} {
		list[1].name = name
		if err := replaceFiles(list); err == nil {
			t.Errorf("%s was replaced", name)
		}
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatalf("%s: %v, %v", os.DevNull, info, err)
	}
	holds(t, dir, map[string]string{"a.yaml": "old", "b.yaml": "old", "c.yaml": "old"})
}

// threeFiles are three files, and what they are to hold.
func threeFiles(t *testing.T) (dir string, list []replacement) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"a.yaml", "b.yaml", "c.yaml"} {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		list = append(list, replacement{name, []byte("new")})
	}
	return dir, list
}

// holds checks what is in the files, and that nothing is left beside them.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(raw) != text {
			t.Errorf("%s holds %q: %v", name, raw, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*.yaml*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
