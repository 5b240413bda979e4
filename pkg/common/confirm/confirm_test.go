package confirm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]error{"y\n": nil, "YES\n": nil, "n\n": ErrDeclined, "\n": ErrDeclined, "": ErrDeclined} {
		var out bytes.Buffer
		err := Prompter{In: strings.NewReader(answer), ErrOut: &out, Terminal: true}.Ask(t.Context(), "Go on?")
		if !errors.Is(err, want) || out.String() != "Go on? (y/N): " {
			t.Errorf("%q: %v, %q", answer, err, out.String())
		}
	}
}

// TestFieldDInterruptedAtPrompt: after Ctrl-C the message says first whether anything was changed.
func TestFieldDInterruptedAtPrompt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	in, typed := io.Pipe() // nobody ever types anything
	defer func() { _ = typed.Close() }()
	cancel()
	err := Prompter{In: in, ErrOut: io.Discard, Terminal: true}.Ask(ctx, "Go on?")
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("%v", err)
	}
}
