package program

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Programs that are written and run while others are started always run.
func TestWrite(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	dir := t.TempDir()
	for writer := range 4 {
		t.Run(fmt.Sprint(writer), func(t *testing.T) {
			t.Parallel()
			for n := range 50 {
				file := filepath.Join(dir, fmt.Sprintf("%d-%d", writer, n))
				Write(t, file, "#!/bin/sh\nexit 0\n")
				if out, err := exec.CommandContext(t.Context(), file).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
}
