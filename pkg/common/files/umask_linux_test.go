package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A new file has the mode that the umask leaves. The test runs alone, because the umask is that of the process.
func TestUmask(t *testing.T) {
	for mask, want := range map[int]os.FileMode{0o077: 0o600, 0o027: 0o640, 0o022: 0o644} {
		path := filepath.Join(t.TempDir(), "file")
		before := syscall.Umask(mask)
		err := replace(path, "new")
		syscall.Umask(before)
		if err != nil {
			t.Fatal(err)
		}
		if _, mode := state(t, path); mode != want {
			t.Errorf("umask %03o: mode %v, want %v", mask, mode, want)
		}
	}
}

// A pipe waits for a reader: it is neither opened nor replaced.
func TestPipe(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(pipe, "new"); err == nil || err.Error() != "it is not a regular file" {
		t.Errorf("%v", err)
	}
	if info, err := os.Lstat(pipe); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Errorf("%v, %v", info, err)
	}
}
