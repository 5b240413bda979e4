package failure

import "strings"

// Reasons is an error with several reasons. It is one line; where it ends a command, each reason is printed on a line of its own.
type Reasons struct {
	Err  error
	Each []string
}

func (r *Reasons) Error() string { return r.Err.Error() + ": " + strings.Join(r.Each, "; ") }

// Unwrap returns the error without its reasons.
func (r *Reasons) Unwrap() error { return r.Err }
