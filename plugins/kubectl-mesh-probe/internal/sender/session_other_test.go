//go:build !unix

package sender

import "syscall"

// newSession returns nothing: sessions do not exist here, and neither do the shells of pods.
func newSession() *syscall.SysProcAttr { return nil }
