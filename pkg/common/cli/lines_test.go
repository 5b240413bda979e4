package cli

import (
	"errors"
	"fmt"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// TestLines: each of several reasons has a line of its own; nothing else begins one.
func TestLines(t *testing.T) {
	t.Parallel()
	why := func(each ...string) error { return &failure.ReasonsError{Err: errors.New("refused"), Each: each} }
	for want, err := range map[string]error{
		"one; two":                  errors.New("one\ntwo"),
		"refused: a":                why("a"),
		"refused:\n- a\n- b; c":     why("a", "b\nc"),
		"before refused:\n- a\n- b": fmt.Errorf("before %w", why("a", "b")),
	} {
		if got := lines(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
