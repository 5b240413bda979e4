package chooser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/wire"
)

// lookEvery is how often the directory of the socket is looked for.
const lookEvery = time.Second

// Serve answers on the socket in a directory until the context ends or the directory is gone: a judge whose lab was
// removed by hand must not run on unseen.
func Serve(ctx context.Context, s Selector, dir string, log io.Writer) error {
	l, err := wire.Listen(ctx, dir)
	if err != nil {
		return fmt.Errorf("socket in %s: %w", dir, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		watch(ctx, dir)
	}()
	context.AfterFunc(ctx, func() { _ = l.Close() })
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		conns.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			if err := converse(s, c); err != nil && ctx.Err() == nil {
				_, _ = fmt.Fprintln(log, "connection:", err)
			}
		})
	}
}

// watch returns when the context ends or the directory is gone.
func watch(ctx context.Context, dir string) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}

// converse answers one line after another until the other side ends the connection.
func converse(s Selector, c net.Conn) error {
	defer func() { _ = c.Close() }()
	lines, out := bufio.NewReader(c), json.NewEncoder(c)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if err := out.Encode(reply(s, line)); err != nil {
			return err
		}
	}
}

// reply answers a line. What cannot be answered is told, and the connection goes on.
func reply(s Selector, line []byte) wire.Reply {
	var r wire.Request
	if err := json.Unmarshal(line, &r); err != nil {
		return wire.Reply{Error: "read the request: " + err.Error(), Cilium: s.Version()}
	}
	out, err := answer(s, r)
	if err != nil {
		return wire.Reply{Error: err.Error(), Cilium: s.Version()}
	}
	return out
}
