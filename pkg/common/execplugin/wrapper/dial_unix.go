//go:build unix

package wrapper

import (
	"io"
	"os"
	"syscall"
)

// dial connects to the command's socket. It does without package net: Go initializes net only after most packages of Kubernetes, and so would the wrapper be.
func dial(path string) (io.ReadWriteCloser, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	syscall.CloseOnExec(fd) // no plugin has been started yet
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		_ = syscall.Close(fd) // nothing was written
		return nil, os.NewSyscallError("connect", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // so that os waits without a thread
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
