//go:build !windows

package output

import "os"

// enableEscapes reports true: every terminal of these systems understands escape sequences.
func enableEscapes(*os.File) bool { return true }
