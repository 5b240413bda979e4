package vnode

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	maxLogLine = 16 << 10 // longer lines are split, as by a container runtime
	// maxLogSize bounds a log; what comes later is dropped, and the log says so.
	maxLogSize = 32 << 20
)

// logFile is the output of one run of a container: lines of "TIME TEXT". A nil *logFile is one of a
// container that never ran.
type logFile struct {
	name string

	mu      sync.Mutex
	f       *os.File
	size    int64
	writers int
	changed chan struct{} // closed, and replaced, when something was written or the last writer ended
}

func newLogFile(dir string, attempt int) (*logFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, fmt.Sprintf("%d.log", attempt))
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &logFile{name: name, f: f, changed: make(chan struct{})}, nil
}

// pipes returns the files that a container writes to.
func (l *logFile) pipes() (stdout, stderr *os.File, err error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, outR.Close(), outW.Close())
	}
	if err := errors.Join(blocking(outW), blocking(errW)); err != nil {
		return nil, nil, errors.Join(err, outR.Close(), outW.Close(), errR.Close(), errW.Close())
	}
	l.writers = 2
	go l.pump(outR)
	go l.pump(errR)
	return outW, errW, nil
}

// pump copies lines with their time until the container and its children have closed the pipe.
func (l *logFile) pump(r *os.File) {
	defer func() { _ = r.Close() }()
	in := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			l.write(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
	}
	l.mu.Lock()
	l.writers--
	l.notify()
	l.mu.Unlock()
}

func (l *logFile) write(line []byte) {
	entry := append([]byte(time.Now().UTC().Format(time.RFC3339Nano)), ' ')
	entry = append(entry, bytes.TrimSuffix(line, []byte("\n"))...)
	entry = append(entry, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil || l.size > maxLogSize {
		return
	}
	if l.size += int64(len(entry)); l.size > maxLogSize {
		entry = []byte(time.Now().UTC().Format(time.RFC3339Nano) + " the lab keeps no more of this log\n")
	}
	if _, err := l.f.Write(entry); err != nil {
		l.size = maxLogSize + 1
	}
	l.notify()
}

func (l *logFile) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *logFile) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close() // each entry was written at once
		l.f = nil
	}
	l.notify()
}

func (l *logFile) remove() {
	if l == nil {
		return
	}
	l.close()
	_ = os.Remove(l.name) // the directory goes with the pod anyway
}

// state returns whether more may come, and a channel that tells when to look again.
func (l *logFile) state() (open bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f != nil && l.writers > 0, l.changed
}

// logOptions are those of `kubectl logs`.
type logOptions struct {
	follow, timestamps bool
	tail               int // negative: all
	since              time.Time
	limit              int64 // bytes; 0: all
}

// copyTo writes the log as asked and, when following, goes on until the container or the context ends.
func (l *logFile) copyTo(ctx context.Context, w io.Writer, o logOptions) error {
	if l == nil {
		return nil
	}
	f, err := os.Open(l.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	out := &limited{w: w, left: o.limit, bounded: o.limit > 0}
	in := bufio.NewReader(f)
	var partial []byte
	next := func() ([]byte, bool) { // complete lines only
		data, err := in.ReadBytes('\n')
		partial = append(partial, data...)
		if err != nil {
			return nil, false
		}
		line := partial
		partial = nil
		return line, true
	}
	var kept [][]byte
	for line, ok := next(); ok; line, ok = next() {
		text, at := split(line)
		if at.Before(o.since) {
			continue
		}
		if o.timestamps {
			text = line
		}
		if o.tail < 0 {
			if _, err := out.Write(text); err != nil {
				return ignoreLimit(err)
			}
			continue
		}
		kept = append(kept, text)
		kept = kept[max(0, len(kept)-o.tail):]
	}
	for _, text := range kept {
		if _, err := out.Write(text); err != nil {
			return ignoreLimit(err)
		}
	}
	for o.follow {
		open, changed := l.state()
		for line, ok := next(); ok; line, ok = next() {
			text, _ := split(line)
			if o.timestamps {
				text = line
			}
			if _, err := out.Write(text); err != nil {
				return ignoreLimit(err)
			}
		}
		if !open {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// split separates a line's time from its text.
func split(line []byte) (text []byte, at time.Time) {
	stamp, text, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return line, time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return line, time.Time{}
	}
	return text, at
}

var errLimit = errors.New("limit of bytes reached")

func ignoreLimit(err error) error {
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// limited stops after a number of bytes.
type limited struct {
	w       io.Writer
	left    int64
	bounded bool
}

func (l *limited) Write(p []byte) (int, error) {
	if !l.bounded {
		return l.w.Write(p)
	}
	if int64(len(p)) > l.left {
		if _, err := l.w.Write(p[:l.left]); err != nil {
			return 0, err
		}
		l.left = 0
		return 0, errLimit
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}
