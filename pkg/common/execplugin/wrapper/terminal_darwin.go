package wrapper

import "syscall"

const (
	getModes = syscall.TIOCGETA
	setModes = syscall.TIOCSETA
)
