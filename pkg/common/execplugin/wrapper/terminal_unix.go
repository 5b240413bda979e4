//go:build linux || darwin

package wrapper

import (
	"os"
	"syscall"
	"unsafe"
)

// terminal is the controlling terminal of the process.
type terminal struct{ *os.File }

// openTerminal returns the controlling terminal, or nil.
func openTerminal() *terminal {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return &terminal{f}
}

func (t *terminal) ioctl(request uintptr, value unsafe.Pointer) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, t.Fd(), request, uintptr(value))
	if errno != 0 {
		return errno
	}
	return nil
}

// foreground returns the process group that has the terminal.
func (t *terminal) foreground() (int, error) {
	var group int32
	err := t.ioctl(syscall.TIOCGPGRP, unsafe.Pointer(&group)) //nolint:gosec // the request needs a pointer
	return int(group), err
}

// setForeground gives the terminal to a process group. The caller ignores SIGTTOU.
func (t *terminal) setForeground(group int) error {
	value := int32(group)
	return t.ioctl(syscall.TIOCSPGRP, unsafe.Pointer(&value)) //nolint:gosec // the request needs a pointer
}

// modes returns the terminal's modes, such as echo, or nil.
func (t *terminal) modes() *syscall.Termios {
	var modes syscall.Termios
	if t.ioctl(getModes, unsafe.Pointer(&modes)) != nil { //nolint:gosec // the request needs a pointer
		return nil
	}
	return &modes
}

// setModes restores the terminal's modes.
func (t *terminal) setModes(modes *syscall.Termios) {
	_ = t.ioctl(setModes, unsafe.Pointer(modes)) //nolint:gosec // the request needs a pointer
}
