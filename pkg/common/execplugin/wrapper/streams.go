package wrapper

import (
	"io"
	"os"
	"sync"
	"time"
)

const (
	// outputTime is how long the wrapper waits for the rest of the output of a plugin that has ended: a process that it left behind may keep the pipe open.
	outputTime = time.Second
	// maxStderr bounds the stderr that is held back.
	maxStderr = 64 << 10
)

// streams is where the plugin writes to.
type streams struct {
	stdout, stderr *os.File        // for the plugin
	own            []*os.File      // what the wrapper has no use for once the plugin has started
	copied         []chan struct{} // closed when there is no more
}

// newStreams returns the wrapper's stdout and stderr for the plugin; stderr goes through the buffer unless that is nil.
func newStreams(buffer *stderrBuffer) (*streams, error) {
	s := &streams{stderr: os.Stderr}
	var err error
	if s.stdout, err = s.pipe(os.Stdout); err != nil {
		return nil, err
	}
	if buffer != nil {
		if s.stderr, err = s.pipe(buffer); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// pipe returns a file from which everything is copied to w.
func (s *streams) pipe(w io.Writer) (*os.File, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	copied := make(chan struct{})
	s.own, s.copied = append(s.own, to), append(s.copied, copied)
	go func() {
		defer close(copied)
		_, _ = io.Copy(w, from) // client-go reports output that is not complete
	}()
	return to, nil
}

// started is called when the plugin has its streams, or could not be started.
func (s *streams) started() {
	for _, f := range s.own {
		_ = f.Close()
	}
}

// finish waits for the rest of the output.
func (s *streams) finish() {
	late := time.After(outputTime)
	for _, copied := range s.copied {
		select {
		case <-copied:
		case <-late:
			return
		}
	}
}

// stderrBuffer is the stderr of a plugin whose credentials may never be needed. Nobody should read why a login that nobody asked for failed.
type stderrBuffer struct {
	mu   sync.Mutex
	open bool
	text []byte
}

// Write writes to stderr, or keeps the text until release. It is never an error: the plugin must not fail because of it.
func (b *stderrBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		_, _ = os.Stderr.Write(p)
	} else {
		b.text = append(b.text, p[:min(len(p), maxStderr-len(b.text))]...)
	}
	return len(p), nil
}

// release writes what was kept. From then on everything goes to stderr at once.
func (b *stderrBuffer) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
	_, _ = os.Stderr.Write(b.text)
	b.text = nil
}

// rest returns what is still kept, which the host then has.
func (b *stderrBuffer) rest() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := string(b.text)
	b.text = nil
	return text
}
