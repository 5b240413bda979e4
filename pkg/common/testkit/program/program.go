// Package program writes programs that tests run. It knows nothing of what they do. Only tests import it.
package program

import (
	"os"
	"syscall"
	"testing"
)

// Write writes an executable file. No process is started meanwhile: between fork and exec, it would have the file open for writing, and meanwhile the
// kernel refuses to run the file ("text file busy", https://go.dev/issue/22315). In a test with parallel tests that happens by chance.
func Write(t testing.TB, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // a program is executable
		t.Fatal(err)
	}
}
