package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Transport runs one command in the client pod, with its three streams, until the command ends. A nil error does not mean that the
// output is complete: client-go reports success when a connection is lost (kubernetes#73056).
type Transport interface {
	Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error
}

// ErrNoShell says that the container has no sh. It wraps the error of the container runtime.
var ErrNoShell = errors.New("the container has no shell")

// bootstrap reads the script from stdin, line by line up to "#end", and runs it. It uses builtins only, so it starts no process. The
// script is not an argument, because arguments of an exec are written to audit logs and request URIs.
const bootstrap = `s=;while IFS= read -r l&&[ "$l" != "#end" ];do s="$s$l
";done;eval "$s"`

// command is the command of the exec. Its last word is $0, which ps and the audit log show.
func command() []string { return []string{"sh", "-c", bootstrap, "mesh-probe"} }

// execError recognizes the error for a missing shell by the texts of runc, crun and CRI-O. The API has no code for it.
func execError(err error, stderr string) error {
	if err == nil {
		return nil
	}
	text := err.Error() + " " + stderr
	for _, s := range []string{"executable file not found", `exec: "sh"`, "`sh`: ", `stat sh: no such file`, "sh: no such file or directory"} {
		if strings.Contains(text, s) {
			return fmt.Errorf("%w: %w", ErrNoShell, err)
		}
	}
	if stderr = strings.TrimSpace(stderr); stderr != "" {
		line, _, _ := strings.Cut(stderr, "\n")
		return fmt.Errorf("%w (%s)", err, line)
	}
	return err
}
