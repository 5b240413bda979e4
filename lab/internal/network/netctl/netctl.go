// Package netctl is the control of a running lab's network: tests and the command line break it and
// repair it through a unix socket in the state directory, one JSON request and one JSON
// reply per connection. It knows nothing of how that is done.
package netctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Op names what a Request asks for.
type Op string

// The operations.
const (
	OpCut    Op = "cut"    // clusters A and B cannot reach each other's pods
	OpHeal   Op = "heal"   // the cut between A and B ends; without A and B, all faults end
	OpDead   Op = "dead"   // nobody reaches the pods of A, and they reach nobody
	OpAlive  Op = "alive"  // A is dead no longer
	OpStatus Op = "status" // nothing changes
)

// Request is one command.
type Request struct {
	Op Op     `json:"op"`
	A  string `json:"a,omitempty"`
	B  string `json:"b,omitempty"`
}

// Reply answers it with the state after it.
type Reply struct {
	Error string      `json:"error,omitempty"`
	Cuts  [][2]string `json:"cuts,omitempty"`
	Dead  []string    `json:"dead,omitempty"`
	// Net counts what the network holds, for tests of leaks.
	Net json.RawMessage `json:"net,omitempty"`
}

// timeout bounds one exchange.
const timeout = 10 * time.Second

// Socket is the control socket's name in the network's directory.
func Socket(netDir string) string { return filepath.Join(netDir, "control.sock") }

// Call sends one command to the lab whose network has its files in netDir.
func Call(ctx context.Context, netDir string, req Request) (Reply, error) {
	var reply Reply
	err := withShortName(netDir, func(name string) error {
		d := net.Dialer{Timeout: timeout}
		c, err := d.DialContext(ctx, "unix", name)
		if err != nil {
			return fmt.Errorf("the lab's network does not run: %w", err)
		}
		defer func() { _ = c.Close() }()
		if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		if err := json.NewEncoder(c).Encode(req); err != nil {
			return err
		}
		return json.NewDecoder(c).Decode(&reply)
	})
	if err == nil && reply.Error != "" {
		err = errors.New(reply.Error)
	}
	return reply, err
}

// Serve answers commands until the context ends. It returns as soon as it listens.
func Serve(ctx context.Context, netDir string, do func(context.Context, Request) (Reply, error), log io.Writer) error {
	if err := os.Remove(Socket(netDir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var l net.Listener
	err := withShortName(netDir, func(name string) error {
		var err error
		l, err = (&net.ListenConfig{}).Listen(ctx, "unix", name)
		return err
	})
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its short name is gone by then; the directory goes with the lab
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				if ctx.Err() == nil {
					_, _ = fmt.Fprintln(log, "control socket:", err)
				}
				return
			}
			go func() {
				if err := answer(ctx, c, do); err != nil && ctx.Err() == nil {
					_, _ = fmt.Fprintln(log, "control socket:", err)
				}
			}()
		}
	}()
	return nil
}

func answer(ctx context.Context, c net.Conn, do func(context.Context, Request) (Reply, error)) error {
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	var req Request
	if err := json.NewDecoder(c).Decode(&req); err != nil {
		return err
	}
	reply, err := do(ctx, req)
	if err != nil {
		reply.Error = err.Error()
	}
	return json.NewEncoder(c).Encode(reply)
}

// withShortName calls f with a name of the socket that fits into a socket address (108 bytes),
// however deep the state directory lies.
func withShortName(netDir string, f func(name string) error) error {
	dir, err := os.Open(netDir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return f(filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(Socket(netDir))))
}
