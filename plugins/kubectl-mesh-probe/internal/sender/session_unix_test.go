//go:build unix

package sender

import "syscall"

// newSession makes a process lead a session.
func newSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
