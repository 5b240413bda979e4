package local

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestReplaceStops: where it stops in the middle after all, what was changed is reported and nothing else is left behind.
func TestReplaceStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := map[string]string{"a.yaml": "new", "c.yaml": "old", "d/kept": "old"}
	for name := range want {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var list []replacement
	for _, name := range []string{"a.yaml", "d", "c.yaml"} { // a file cannot take the place of a directory
		list = append(list, replacement{filepath.Join(dir, name), []byte("new")})
	}
	err := replaceFiles(list)
	if says := fmt.Sprintf("%s/d cannot be written: file exists; changed before it: %s/a.yaml", dir, dir); err == nil || err.Error() != says {
		t.Errorf("%v, want %s", err, says)
	}
	for name, text := range want {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(raw) != text {
			t.Errorf("%s holds %q: %v", name, raw, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*.yaml*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
