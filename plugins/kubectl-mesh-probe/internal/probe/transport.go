package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Transport runs one command in the client pod, with its three streams, until it
// ends. A nil error says nothing about completeness: a lost connection ends the
// streams quietly (client-go reports success, kubernetes#73056).
type Transport interface {
	Exec(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error
}

// The reasons why a pod cannot be a client. Each wraps what the cluster said.
var (
	// ErrNoShell: the container has no sh.
	ErrNoShell = errors.New("the container has no shell")
	// ErrNoTool: the container has no curl and no wget that can be used.
	ErrNoTool = errors.New("the container has no curl and no wget")
)

// bootstrap reads the script line by line from stdin up to "#end" and runs it. Builtins only, so that it costs no process; the
// script is not in argv because argv of an exec ends up in the audit log and in request URIs.
const bootstrap = `s=;while IFS= read -r l&&[ "$l" != "#end" ];do s="$s$l
";done;eval "$s"`

// command is what is executed in the pod. The last word is $0, for ps and for the audit log's reader.
func command() []string { return []string{"sh", "-c", bootstrap, "mesh-probe"} }

// execError turns what a container runtime says about a missing shell into ErrNoShell.
// The texts are runc's, crun's and CRI-O's; there is no code for it in the API.
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
