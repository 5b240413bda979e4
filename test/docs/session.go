// Package docs checks the pages of this repository, and runs the commands that they show, as the reader would: in their order, in one
// terminal, with the prompts answered by hand.
package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/creack/pty"
)

// watchdog ends a command that never ends. It asserts no duration.
const watchdog = 6 * time.Minute

// terminal is the size that the README promises to fit.
var terminal = &pty.Winsize{Rows: 50, Cols: 120}

// Answer is typed when the terminal shows a text; each answer is typed once for a command.
type Answer struct {
	When, Type string
}

// Session is a terminal in which commands run one after the other.
type Session struct {
	Dir string
	Env []string
}

// Run runs a line with bash in a terminal and returns what the terminal showed and the exit code.
func (s *Session) Run(ctx context.Context, line string, answers ...Answer) (string, int, error) {
	ctx, cancel := context.WithTimeout(ctx, watchdog)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	screen, err := pty.StartWithSize(cmd, terminal)
	if err != nil {
		return "", 0, err
	}
	defer screen.Close() //nolint:errcheck // nothing is lost with it
	shown, err := converse(screen, answers)
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return shown, 0, fmt.Errorf("%s: it did not end: %w", line, ctx.Err())
	case err != nil:
		return shown, 0, err
	case waitErr != nil && !errors.As(waitErr, &exit):
		return shown, 0, waitErr
	}
	return shown, cmd.ProcessState.ExitCode(), nil
}

// converse reads the terminal until the command ends, and types the answers.
func converse(screen io.ReadWriter, answers []Answer) (string, error) {
	var shown bytes.Buffer
	chunk := make([]byte, 4096)
	for {
		n, err := screen.Read(chunk)
		shown.Write(chunk[:n])
		for len(answers) > 0 && strings.Contains(shown.String(), answers[0].When) {
			if _, err := io.WriteString(screen, answers[0].Type); err != nil {
				return shown.String(), err
			}
			answers = answers[1:]
		}
		var pathErr *os.PathError
		if errors.Is(err, io.EOF) || errors.As(err, &pathErr) { // Linux answers EIO when nobody has the terminal open
			return shown.String(), nil
		}
		if err != nil {
			return shown.String(), err
		}
	}
}
