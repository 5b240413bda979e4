package cmd

import (
	"os"
	"testing"
)

func TestOthersMayRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode          os.FileMode
		unix, windows bool
	}{
		"private":           {0o600, false, false},
		"private, readonly": {0o400, false, false},
		"group reads":       {0o640, true, false},
		"others write":      {0o602, true, false},
		"any on Windows":    {0o666, true, false},
		"pipe":              {0o666 | os.ModeNamedPipe, false, false}, // of <(pass show ...)
		"device":            {0o666 | os.ModeDevice, false, false},
	} {
		for goos, want := range map[string]bool{"linux": tt.unix, "darwin": tt.unix, "windows": tt.windows} {
			if got := othersMayRead(goos, tt.mode); got != want {
				t.Errorf("%s, %s: %v, want %v", goos, name, got, want)
			}
		}
	}
}
