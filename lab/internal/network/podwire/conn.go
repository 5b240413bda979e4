package podwire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// maxMessage bounds one message; a sender splits what is longer. The kernel's default
// buffer of a socket (net.core.wmem_default, 208 KiB) is the upper limit.
const maxMessage = 160 << 10

// maxFiles bounds the files beside one message.
const maxFiles = 4

// ErrTooLong says that a message does not fit into one packet.
var ErrTooLong = errors.New("message too long for the control socket")

// Conn is one end of the control socket. Send may be called from any goroutine,
// Receive from one.
type Conn struct {
	mu   sync.Mutex
	conn *net.UnixConn
	buf  []byte
	oob  []byte
}

// Pair returns one end of a new control socket and the file for the other process.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("control socket: %w", err)
	}
	other := os.NewFile(uintptr(fds[1]), "control")
	c, err := FromFile(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		return nil, nil, errors.Join(err, other.Close())
	}
	return c, other, nil
}

// FromFile takes over an inherited end of a control socket.
func FromFile(f *os.File) (*Conn, error) {
	c, err := net.FileConn(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("control socket: not a unix socket but %T", c), c.Close())
	}
	return &Conn{conn: uc, buf: make([]byte, maxMessage), oob: make([]byte, unix.CmsgSpace(4*maxFiles))}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Send sends one message with open files. The files stay the caller's.
func (c *Conn) Send(msg any, files ...*os.File) error {
	data, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		return fmt.Errorf("%w: %d bytes", ErrTooLong, len(data))
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			// Fd would switch a pollable file to blocking mode; the raw connection does not.
			if fds[i], err = rawFd(f); err != nil {
				return err
			}
		}
		oob = unix.UnixRights(fds...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, err = c.conn.WriteMsgUnix(data, oob, nil)
	runtime.KeepAlive(files)
	return err
}

func rawFd(f *os.File) (int, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	err = rc.Control(func(p uintptr) { fd = int(p) })
	return fd, err
}

// Receive waits for one message. The files are the caller's to close. io.EOF says that the other end is gone.
func (c *Conn) Receive(msg any) ([]*os.File, error) {
	n, oobn, _, _, err := c.conn.ReadMsgUnix(c.buf, c.oob)
	if err != nil {
		return nil, err
	}
	if n == 0 && oobn == 0 {
		return nil, io.EOF
	}
	files, err := parseFiles(c.oob[:oobn])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(c.buf[:n], msg); err != nil {
		CloseAll(files)
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return files, nil
}

func parseFiles(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			CloseAll(files)
			return nil, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("passed-%d", len(files))))
		}
	}
	return files, nil
}

// CloseAll closes files that a message brought and nobody needs any more.
func CloseAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // received descriptors: nothing is buffered in them
	}
}
