package wire

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed script.sh
var mainScript string

//go:embed dial.sh
var dialScript string

// script is what the pod runs. It ends with the loop that reads orders.
var script = dialScript + mainScript

// Times of the protocol between plugin and pod.
const (
	beatEvery   = 5 * time.Second  // the plugin sends a line, the pod answers
	deadMan     = 15 * time.Second // the pod ends its loop if it receives no line for this long
	silence     = 20 * time.Second // the plugin gives up the stream if it receives nothing for this long
	openTimeout = 30 * time.Second // until the script answers
)

// StopTimeout is how long the plugin waits for an orderly end after an interrupt.
const StopTimeout = 2 * time.Second

// blockLimit is how many bytes are kept between two framing lines.
const blockLimit = 4 << 20

// ErrInterrupted is the error of a stream whose context was cancelled.
var ErrInterrupted = errors.New("interrupted")

// Stream is one exec: a shell in the client pod that runs script.sh.
type Stream struct {
	nonce  string
	in     *lineQueue
	out    *mailbox
	errOut *mailbox
	ctx    context.Context // of the exec. It outlives the caller's context, for an orderly end.
	abort  context.CancelFunc
	done   chan struct{} // closed when the exec has ended
	err    error         // of the exec, once done is closed
}

// Open starts the script in the pod and waits for its first answer.
func Open(ctx context.Context, tr Transport) (*Stream, error) {
	ready, nonce := make(chan struct{}, 1), newNonce()
	s := &Stream{nonce: nonce, in: newLineQueue(), out: newMailbox(nonce, ready), errOut: newMailbox(nonce, ready), done: make(chan struct{})}
	s.ctx, s.abort = context.WithCancel(context.WithoutCancel(ctx))
	s.in.send(script+"#end", s.nonce)
	go func() {
		defer close(s.done)
		s.err = tr.Exec(s.ctx, command(), s.in, s.out, s.errOut)
	}()
	if err := s.greeted(ctx); err != nil {
		s.Cancel()
		return nil, err
	}
	return s, nil
}

// greeted waits for the first answer of the script.
func (s *Stream) greeted(ctx context.Context) error {
	f, err := s.next(ctx)
	if err == nil && f.verb != 'V' {
		err = fmt.Errorf("unexpected answer %q", string(f.verb)+" "+f.Text)
	}
	if err != nil {
		return fmt.Errorf("start the probe in the pod: %w", err)
	}
	return nil
}

// UseBash replaces the shell of a stream that was not started by the pod's bash, which runs the same script.
func (s *Stream) UseBash(ctx context.Context) error {
	s.in.send("bash", s.nonce)
	return s.greeted(ctx)
}

// Nonce returns the random word with which framing lines start.
func (s *Stream) Nonce() string { return s.nonce }

// Cancel ends the exec at once. The pod's side ends because its stdin ends.
func (s *Stream) Cancel() {
	s.in.close()
	s.abort()
}

// Quit ends a stream that was not started.
func (s *Stream) Quit() {
	s.in.send("Q")
	s.in.close()
	s.wait()
	s.abort()
}

// wait waits for the exec to end, for a short time.
func (s *Stream) wait() {
	select {
	case <-s.done:
	case <-time.After(StopTimeout):
	}
}

// Pod is what the script found in the client pod.
type Pod struct {
	// ReadTimeout says that the shell's read can time out (not in dash).
	ReadTimeout bool
	// Head says that there is a `head -c`.
	Head bool
	// Bash says that the shell is bash.
	Bash bool
	// Sockets says that there are ls and grep, with which the script finds the sockets of a process.
	Sockets bool
	// BigEndian says that the first byte of a number in the kernel's tables is the most significant one.
	BigEndian bool
	// Help is what curl, wget, busybox, and with DetectDialers nc, busybox-nc and bash, print about themselves. A program that does not exist
	// prints nothing.
	Help map[string]string
}

// Detect asks what the pod has to send HTTP requests.
func (s *Stream) Detect(ctx context.Context) (Pod, error) { return s.detect(ctx, "detect") }

// DetectDialers asks what the pod has, also to open connections.
func (s *Stream) DetectDialers(ctx context.Context) (Pod, error) { return s.detect(ctx, "detect-tcp") }

func (s *Stream) detect(ctx context.Context, order string) (Pod, error) {
	s.in.send(order)
	sections := map[string]string{}
	name := ""
	for {
		f, err := s.next(ctx)
		if err == nil && f.verb != 'D' {
			err = fmt.Errorf("unexpected answer %q", string(f.verb))
		}
		if err != nil {
			return Pod{}, fmt.Errorf("look for tools in the pod: %w", err)
		}
		sections[name] = string(f.Data)
		if name = strings.TrimSpace(f.Text); name == "" {
			return newPod(sections), nil
		}
	}
}

// newPod reads the sections that detect() in script.sh prints.
func newPod(sections map[string]string) Pod {
	p := Pod{Help: map[string]string{}}
	for _, name := range []string{"curl", "wget", "busybox", "nc", "busybox-nc", "bash"} {
		p.Help[name] = sections[name]
	}
	for line := range strings.Lines(sections["shell"]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "read-t":
			p.ReadTimeout = value == "0" || value == "1"
		case "head":
			p.Head = value == "a"
		case "sockets":
			p.Sockets = value == "a"
		case "bash":
			p.Bash = value != ""
		case "arch":
			p.BigEndian = slices.Contains([]string{"s390x", "ppc64"}, value)
		}
	}
	return p
}

// TrustFile is where a tool finds the certificates that Trust sent: a file that the script has deleted and keeps open.
const TrustFile = "/dev/fd/9"

// Trust sends CA certificates to the pod, with which the tool verifies the server's certificate.
func (s *Stream) Trust(ctx context.Context, pem []byte) error {
	lines := strings.Split(strings.TrimSpace(string(pem)), "\n")
	s.in.send("trust", strconv.Itoa(len(lines)))
	s.in.send(lines...)
	f, err := s.next(ctx)
	if err != nil {
		return fmt.Errorf("--cacert: %w", err)
	}
	if f.verb != 'A' || f.Text != "ok" {
		return fmt.Errorf("--cacert: the pod cannot store the certificates: %s", f.Text)
	}
	return nil
}

// next waits for one frame, before the stream is started.
func (s *Stream) next(ctx context.Context) (Frame, error) {
	timer := time.NewTimer(openTimeout)
	defer timer.Stop()
	over := false
	for {
		f, ok, err := s.out.first()
		switch {
		case ok || err != nil:
			return f, err
		case over:
			return Frame{}, s.ended(s.out.text())
		}
		select {
		case <-s.out.ready:
		case <-s.done:
			over = true
		case <-timer.C:
			return Frame{}, fmt.Errorf("no answer in %s", openTimeout)
		case <-ctx.Done():
			return Frame{}, ErrInterrupted
		}
	}
}

// ended is the error for an exec that ended too early.
func (s *Stream) ended(stdout string) error {
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

// newNonce returns 128 random bits.
func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
