package wrapper

import "syscall"

const (
	getModes = syscall.TCGETS
	setModes = syscall.TCSETS
)
