package cmd

import "golang.org/x/sys/unix"

// echoes reports whether a terminal shows what is typed.
func echoes(fd int) (bool, error) {
	state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return false, err
	}
	return state.Lflag&unix.ECHO != 0, nil
}
