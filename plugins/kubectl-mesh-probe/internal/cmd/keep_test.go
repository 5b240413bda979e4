package cmd

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestParseMark(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		after time.Duration
		text  string
	}{"begins": {0, "begins"}, "3s=scale to 0": {3 * time.Second, "scale to 0"}, "1m30s=a=b": {90 * time.Second, "a=b"}, "0s=x": {0, "x"}} {
		if m, err := parseMark(text); err != nil || m.After != want.after || m.Text != want.text {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
	}
}

// The command runs as in a shell. What it prints is kept, and its exit code is its result.
func TestShell(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]struct {
		code int
		out  string
	}{
		"echo one; echo two >&2; exit 3": {3, "one\ntwo\n"},
		"cat":                            {0, ""}, // no input
		"no-such-command-of-mesh-probe 2>/dev/null":     {127, ""},
		"head -c 100000 /dev/zero | tr '\\0' x; exit 0": {0, strings.Repeat("x", maxCommandOutput) + "\n[83616 more bytes are not shown]\n"},
		"(sleep 5 & echo started); exit 0":              {0, "started\n"},
		"kill -9 $$":                                    {-1, ""},
	} {
		var out commandOutput
		code, err := shell(t.Context(), command, &out)
		if err != nil || code != want.code || out.String() != want.out {
			t.Errorf("%q: exit code %d, %v, %d bytes: %.40q", command, code, err, len(out.String()), out.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	var out commandOutput
	began := time.Now()
	if _, err := shell(ctx, "sleep 1000", &out); err == nil || time.Since(began) > 5*time.Minute {
		t.Errorf("interrupted: %v after %s", err, time.Since(began))
	}
}
