package probe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Times of the protocol between plugin and pod.
const (
	beatEvery   = 5 * time.Second  // the plugin sends a line, the pod answers
	deadMan     = 15 * time.Second // the pod ends its loop when no line came for so long
	silence     = 20 * time.Second // the plugin gives the stream up when nothing came for so long
	openTimeout = 30 * time.Second // until the script says hello
	stopTimeout = 2 * time.Second  // for an orderly end after an interrupt
)

// Sizes.
const (
	blockLimit = 4 << 20   // bytes kept of one block
	hugeBody   = 256 << 10 // a reply of which more has come is ended, and the following are cut in the pod
	maxList    = 100       // URLs in one command
	maxGlob    = 500       // requests of one curl
	blockTime  = 500 * time.Millisecond
)

// errInterrupted ends a stream whose context was cancelled.
var errInterrupted = errors.New("interrupted")

// stream is one exec: one shell in the client pod that carries out orders.
type stream struct {
	tr     Transport
	nonce  string
	in     *lineQueue
	out    *mailbox
	errOut *mailbox
	ctx    context.Context // of the exec; outlives the caller's, for an orderly end
	abort  context.CancelFunc
	done   chan struct{} // closed when the exec has ended
	err    error         // of the exec, once done is closed
	warned map[string]bool
}

func newStream(ctx context.Context, tr Transport, nonce string) *stream {
	ready := make(chan struct{}, 1)
	s := &stream{
		tr: tr, nonce: nonce, in: newLineQueue(), out: newMailbox(nonce, ready), errOut: newMailbox(nonce, ready),
		done: make(chan struct{}), warned: map[string]bool{},
	}
	s.ctx, s.abort = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// cancel ends the exec at once. The pod's side ends by the end of its stdin.
func (s *stream) cancel() {
	s.in.close()
	s.abort()
}

// stop ends a stream that runs nothing yet.
func (s *stream) stop() {
	s.in.send("Q")
	s.in.close()
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
	}
	s.abort()
}

func (s *stream) warn(format string, args ...any) { s.warned[fmt.Sprintf(format, args...)] = true }

func (s *stream) warnings() []string {
	var out []string
	for w := range s.warned {
		out = append(out, w)
	}
	return out
}

// open starts the exec and waits for the script's hello.
func (s *stream) open(ctx context.Context) error {
	s.in.send(script+"#end", s.nonce)
	go func() {
		defer close(s.done)
		s.err = s.tr.Exec(s.ctx, command(), s.in, s.out, s.errOut)
	}()
	f, err := s.next(ctx, openTimeout)
	if err != nil {
		return fmt.Errorf("start the probe in the pod: %w", err)
	}
	if f.verb != 'V' {
		return fmt.Errorf("start the probe in the pod: unexpected answer %q", string(f.verb)+" "+f.rest)
	}
	return nil
}

// detect asks what the pod has.
func (s *stream) detect(ctx context.Context) (Toolbox, error) {
	s.in.send("detect")
	sections := map[string]string{}
	name := ""
	for {
		f, err := s.next(ctx, openTimeout)
		if err != nil {
			return Toolbox{}, fmt.Errorf("look for tools in the pod: %w", err)
		}
		if f.verb != 'D' {
			return Toolbox{}, fmt.Errorf("look for tools in the pod: unexpected answer %q", string(f.verb))
		}
		sections[name] = string(f.data)
		if name = strings.TrimSpace(f.rest); name == "" {
			return parseToolbox(sections), nil
		}
	}
}

// next waits for one frame, before the run.
func (s *stream) next(ctx context.Context, timeout time.Duration) (frame, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	over := false
	for {
		s.out.mu.Lock()
		if len(s.out.frames) > 0 {
			f := s.out.frames[0]
			s.out.frames = s.out.frames[1:]
			s.out.mu.Unlock()
			return f, nil
		}
		broken := s.out.parser.err
		data, _ := s.out.parser.pending()
		text := string(data)
		s.out.mu.Unlock()
		switch {
		case broken != nil:
			return frame{}, broken
		case over:
			return frame{}, s.ended(text)
		}
		select {
		case <-s.out.ready:
		case <-s.done:
			over = true
		case <-timer.C:
			return frame{}, fmt.Errorf("no answer in %s", timeout)
		case <-ctx.Done():
			return frame{}, errInterrupted
		}
	}
}

// ended is the error for an exec that ended too early.
func (s *stream) ended(stdout string) error {
	text := s.errOut.text()
	if err := execError(s.err, text+stdout); err != nil {
		return err
	}
	if text = strings.TrimSpace(text); text != "" {
		line, _, _ := strings.Cut(text, "\n")
		return fmt.Errorf("the exec stream ended early: %s", line)
	}
	return errors.New("the exec stream ended early")
}

// trust hands the pod the certificates of --cacert, for the tool to verify the server's with.
func (s *stream) trust(ctx context.Context, pem []byte) error {
	lines := strings.Split(strings.TrimSpace(string(pem)), "\n")
	s.in.send("trust", strconv.Itoa(len(lines)))
	s.in.send(lines...)
	f, err := s.next(ctx, openTimeout)
	if err != nil {
		return fmt.Errorf("--cacert: %w", err)
	}
	if f.verb != 'A' || f.rest != "ok" {
		return fmt.Errorf("--cacert: the pod cannot take the certificates: %s", f.rest)
	}
	return nil
}
