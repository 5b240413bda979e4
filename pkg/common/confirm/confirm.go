// Package confirm prompts before a command changes clusters that the user did not
// name, or replaces a secret. It uses only streams.
package confirm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrDeclined is returned when the answer is not yes.
var ErrDeclined = errors.New("not confirmed; nothing was changed")

// ErrNoTerminal is returned if stdin is not a terminal.
var ErrNoTerminal = errors.New("confirmation required, but stdin is not a terminal; use --yes to continue without a prompt. Nothing was changed")

// InterruptedError is returned when the context ends before there is an answer, as with Ctrl-C.
type InterruptedError struct{ cause error }

// Error says first that nothing was changed.
func (e *InterruptedError) Error() string { return "interrupted; nothing was changed" }

// Interrupted returns the error of a prompt that was interrupted, for prompts other than Ask. cause is the error of the context.
func Interrupted(cause error) error { return &InterruptedError{cause} }

// Unwrap returns the context's error.
func (e *InterruptedError) Unwrap() error { return e.cause }

// Prompter asks on ErrOut and reads the answer from In.
type Prompter struct {
	In       io.Reader
	ErrOut   io.Writer
	Terminal bool // whether In is one
	Yes      bool // --yes
}

// Ask returns nil for yes. The question says what will happen; " (y/N): " is added.
func (p Prompter) Ask(ctx context.Context, question string) error {
	if p.Yes {
		return nil
	}
	if !p.Terminal {
		return ErrNoTerminal
	}
	if _, err := fmt.Fprintf(p.ErrOut, "%s (y/N): ", question); err != nil {
		return err
	}
	answer := make(chan string, 1)
	go func() { // a read from a terminal cannot be cancelled; the process exits soon after an interrupt
		line, _ := bufio.NewReader(p.In).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		_, _ = fmt.Fprintln(p.ErrOut)
		return &InterruptedError{ctx.Err()}
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return ErrDeclined
	}
}
