package wire

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Dial connects to the judge whose socket is in a directory.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	var c net.Conn
	err := withShortName(dir, func(name string) (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, "unix", name)
		return err
	})
	return c, err
}

// Listen makes the judge's socket in a directory. One that a judge before left is replaced.
func Listen(ctx context.Context, dir string) (net.Listener, error) {
	if err := os.Remove(Socket(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var l net.Listener
	err := withShortName(dir, func(name string) (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, "unix", name)
		return err
	})
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its short name is gone by then
	}
	return l, err
}

// withShortName calls f with a name of the socket that fits into a socket address (108 bytes),
// however deep the directory lies.
func withShortName(dir string, f func(name string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return f(filepath.Join("/proc/self/fd", strconv.Itoa(int(d.Fd())), filepath.Base(Socket(dir))))
}
