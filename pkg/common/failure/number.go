package failure

import (
	"errors"
	"slices"
	"syscall"
)

// numbers are the error numbers of a system for connections.
type numbers struct{ refused, timeout []syscall.Errno }

// numbersOf returns the error numbers of a platform. Package syscall has ECONNREFUSED and its like on Windows too, but with numbers that no call of
// Windows returns, and none of its methods translates them.
func numbersOf(goos string) numbers {
	if goos == "windows" {
		return numbers{
			refused: []syscall.Errno{
				64,    // ERROR_NETNAME_DELETED: the other end closed the connection
				109,   // ERROR_BROKEN_PIPE
				232,   // ERROR_NO_DATA: the pipe is being closed
				10051, // WSAENETUNREACH
				10052, // WSAENETRESET
				10053, // WSAECONNABORTED
				10054, // WSAECONNRESET
				10061, // WSAECONNREFUSED
				10064, // WSAEHOSTDOWN
				10065, // WSAEHOSTUNREACH
			},
			timeout: []syscall.Errno{
				121,   // ERROR_SEM_TIMEOUT
				10060, // WSAETIMEDOUT
			},
		}
	}
	return numbers{
		refused: []syscall.Errno{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ECONNRESET, syscall.EPIPE},
		timeout: []syscall.Errno{syscall.ETIMEDOUT},
	}
}

// class returns Refused or Timeout for an error with one of the numbers, and "" for every other error.
func (n numbers) class(err error) Class {
	is := func(number syscall.Errno) bool { return errors.Is(err, number) }
	switch {
	case slices.ContainsFunc(n.refused, is):
		return Refused
	case slices.ContainsFunc(n.timeout, is):
		return Timeout
	}
	return ""
}
