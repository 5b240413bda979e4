package failure

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
)

// TestNumbers has the error numbers of each platform as its calls return them. 10061 is what Windows says of a port on which nobody listens.
func TestNumbers(t *testing.T) {
	t.Parallel()
	type test struct {
		number syscall.Errno
		want   Class
	}
	unix := map[string]test{
		"refused":     {syscall.ECONNREFUSED, Refused},
		"reset":       {syscall.ECONNRESET, Refused},
		"broken pipe": {syscall.EPIPE, Refused},
		"no route":    {syscall.EHOSTUNREACH, Refused},
		"timeout":     {syscall.ETIMEDOUT, Timeout},
		"no file":     {syscall.ENOENT, ""},
		// Numbers of Windows mean nothing elsewhere.
		"10061": {10061, ""},
	}
	for goos, tests := range map[string]map[string]test{"linux": unix, "darwin": unix, "windows": {
		"refused":        {10061, Refused},
		"reset":          {10054, Refused},
		"aborted":        {10053, Refused},
		"name deleted":   {64, Refused},
		"no route":       {10065, Refused},
		"no network":     {10051, Refused},
		"timeout":        {10060, Timeout},
		"file not found": {2, ""},
		"access denied":  {5, ""},
	}} {
		for name, tt := range tests {
			err := error(&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", tt.number)})
			for _, err := range []error{err, fmt.Errorf("get: %w", err), errors.Join(errors.New("one"), err)} {
				if got := numbersOf(goos).class(err); got != tt.want {
					t.Errorf("%s, %s: got %q, want %q", goos, name, got, tt.want)
				}
			}
		}
	}
}
