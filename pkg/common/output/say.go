package output

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/text"
)

// Say writes one line without control characters. It is for stderr, where a failed write cannot be reported.
func Say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintln(w, Clean(fmt.Sprintf(format, args...)))
}

// Unread reports which cluster could not be read and why. The name comes from the cluster or from a peer, so control characters are stripped.
func Unread(w io.Writer, cluster, class string, err error) {
	Say(w, "error: cluster %s: %s: %s", cluster, class, text.OneLine(err.Error()))
}

// IsTerminal reports whether a stream is one.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// TakesEscapes reports whether a stream is a terminal on which escape sequences move the cursor and set colours. A console of Windows does not by default.
func TakesEscapes(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && enableEscapes(f)
}

// TerminalWidth returns how many columns the terminal behind a stream has now; a person may resize it. It is not ok if the stream is not a
// terminal, or is one that does not report its width.
func TerminalWidth(w io.Writer) (columns int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return columns, err == nil && columns > 0
}

// TerminalHeight returns how many rows the terminal behind a stream has now, as TerminalWidth does.
func TerminalHeight(w io.Writer) (rows int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile {
		return 0, false
	}
	_, rows, err := term.GetSize(int(f.Fd()))
	return rows, err == nil && rows > 0
}
