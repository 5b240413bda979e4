// Package program writes programs that tests run. It knows nothing of what they do. Only tests import it.
package program

import (
	"os"
	"syscall"
	"testing"
)

// Write writes an executable file. It lets no process start meanwhile: until its exec, a process that was forked has the file open for writing, and the
// kernel refuses to run such a file ("text file busy", https://go.dev/issue/22315). Among parallel tests, that happens by chance.
func Write(t testing.TB, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}
