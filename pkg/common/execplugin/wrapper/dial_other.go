//go:build !unix

package wrapper

import (
	"io"
	"net"
)

// dial connects to the command's socket.
func dial(path string) (io.ReadWriteCloser, error) {
	return net.Dial("unix", path) //nolint:noctx // a local socket answers at once or not at all
}
