//go:build unix

package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// blackHole returns an address to which no connection can be made: packets that open one are dropped. Linux drops them while the queue of a listener that accepts
// nothing is full. It needs neither root nor a firewall.
func blackHole() (address string, end func(), err error) {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", nil, err
	}
	syscall.CloseOnExec(socket)
	var queued []net.Conn
	end = func() {
		for _, c := range queued {
			_ = c.Close()
		}
		_ = syscall.Close(socket)
	}
	err = errors.Join(syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(socket, 0))
	if err != nil {
		end()
		return "", nil, err
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		end()
		return "", nil, err
	}
	bound, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		end()
		return "", nil, fmt.Errorf("a socket is bound to %T", name)
	}
	address = fmt.Sprintf("127.0.0.1:%d", bound.Port)
	const most, wait = 16, 300 * time.Millisecond
	for range most {
		c, err := (&net.Dialer{Timeout: wait}).DialContext(context.Background(), "tcp", address)
		var netErr net.Error
		if errors.As(err, &netErr) && netErr.Timeout() {
			return address, end, nil
		}
		if err != nil {
			end()
			return "", nil, err
		}
		queued = append(queued, c)
	}
	end()
	return "", nil, fmt.Errorf("%s still accepts connections after %d", address, most)
}
