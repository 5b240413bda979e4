package failure

import "strings"

// ReasonsError is an error with several reasons. It is one line; where it ends a command, each reason is printed on a line of its own.
type ReasonsError struct {
	Err  error
	Each []string
}

func (r *ReasonsError) Error() string { return r.Err.Error() + ": " + strings.Join(r.Each, "; ") }

// Unwrap returns the error without its reasons.
func (r *ReasonsError) Unwrap() error { return r.Err }
