package vnode

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// drains are the outputs of a command on their way to the client.
type drains struct {
	all  []*drain
	done sync.WaitGroup
}

type drain struct {
	r    *os.File
	busy atomic.Bool // something was read that the client has not taken yet
}

// add returns what a command writes to; it is copied to out, or lost without one.
func (d *drains) add(out io.Writer) (*os.File, error) {
	if out == nil {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if err := blocking(w); err != nil {
		_ = r.Close()
		_ = w.Close()
		return nil, err
	}
	one := &drain{r: r}
	d.all = append(d.all, one)
	d.done.Go(func() {
		// When the client has gone the pipe is closed, and the command gets SIGPIPE, as with a container runtime.
		_, _ = io.Copy(&busyWriter{out, &one.busy}, onlyReader{r})
		_ = r.Close()
	})
	return w, nil
}

// wait returns when the client has taken everything, or when nothing has come for the
// given time because a child of the command holds its output open. A slow client is waited for.
func (d *drains) wait(silence time.Duration) {
	drained := make(chan struct{})
	go func() {
		d.done.Wait()
		close(drained)
	}()
	for {
		select {
		case <-drained:
			return
		case <-time.After(silence):
		}
		if !d.moving() {
			break
		}
	}
	for _, one := range d.all {
		_ = one.r.Close() // ends the copying
	}
	<-drained
}

// moving reports whether anything is left that the client has not taken.
func (d *drains) moving() bool {
	for _, one := range d.all {
		if one.busy.Load() || waiting(one.r) {
			return true
		}
	}
	return false
}

// waiting reports whether a pipe holds something; a closed one does not.
func waiting(r *os.File) bool {
	rc, err := r.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = rc.Control(func(fd uintptr) {
		if got, ierr := unix.IoctlGetInt(int(fd), unix.TIOCINQ); ierr == nil {
			n = got
		}
	})
	return err == nil && n > 0
}

// busyWriter tells when a write is under way.
type busyWriter struct {
	w    io.Writer
	busy *atomic.Bool
}

func (b *busyWriter) Write(p []byte) (int, error) {
	b.busy.Store(true)
	defer b.busy.Store(false)
	return b.w.Write(p)
}

// onlyReader hides what else a file can do, so that io.Copy goes through busyWriter.
type onlyReader struct{ io.Reader }
