package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Exec runs a command in the container of a helper, with its three streams.
type Exec func(ctx context.Context, command []string, stdin io.Reader, stdout, stderr io.Writer) error

// keep finds the process of the container and passes on the signs of life, one a line. It looks the process up by its command line, because a pod
// may share one process namespace among its containers. read leaves out the zero bytes of a command line, which has no line break. A child that
// has not yet become sleep has the same command line, and a higher number.
const keep = `IFS= read -r m||exit 3;p=;for d in /proc/[0-9]*;do l=;{ IFS= read -r l<"$d/cmdline";} 2>/dev/null;` +
	`case $l in *"$m")[ -n "$p" ]&&[ "$p" -lt "${d#/proc/}" ]||p=${d#/proc/};;esac;done;[ -n "$p" ]||{ echo "cannot find the process of the container";exit 4;};echo ok;` +
	`while IFS= read -r l;do case $l in P)kill -USR1 "$p"||exit 5;;Q)kill -TERM "$p";exit 0;;esac;done`

const (
	// answerTimeout is how long the keeper may take to answer.
	answerTimeout = 30 * time.Second
	// reopenAfter is the pause before a lost keeper is opened again. The process ends only after several missing signs of life.
	reopenAfter = 2 * time.Second
	// stopTimeout is how long an orderly end may take.
	stopTimeout = 3 * time.Second
)

// keeper gives signs of life to the process of a container until it is stopped.
type keeper struct {
	exec   Exec
	marker string

	stopping chan struct{}
	once     sync.Once
	done     chan struct{}
	abort    context.CancelFunc
}

// startKeeper opens a keeper and waits until it has found the process. It outlives ctx, which only ends the waiting.
func startKeeper(ctx context.Context, exec Exec, marker string) (*keeper, error) {
	k := &keeper{exec: exec, marker: marker, stopping: make(chan struct{}), done: make(chan struct{})}
	var running context.Context
	running, k.abort = context.WithCancel(context.WithoutCancel(ctx))
	answer := make(chan error, 1)
	go func() {
		defer close(k.done)
		k.run(running, answer)
	}()
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	var err error
	select {
	case err = <-answer:
	case <-timer.C:
		err = fmt.Errorf("no answer in %s", answerTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		k.abort()
		<-k.done
		return nil, err
	}
	return k, nil
}

// run keeps one exec open, and opens it again if it is lost after its first answer.
func (k *keeper) run(ctx context.Context, answer chan<- error) {
	for {
		err := k.hold(ctx, answer)
		if answer != nil && err != nil {
			answer <- err
			return
		}
		answer = nil
		select {
		case <-k.stopping:
			return
		case <-ctx.Done():
			return
		case <-time.After(reopenAfter):
		}
	}
}

// hold runs one exec until it ends. The first answer goes to answer, unless it is nil.
func (k *keeper) hold(ctx context.Context, answer chan<- error) error {
	stdin, feed := io.Pipe()
	out := &firstLine{found: make(chan string, 1)}
	var errOut bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		err := k.exec(ctx, []string{"sh", "-c", keep, "mesh-probe-keeper"}, stdin, out, &errOut)
		_ = stdin.Close() // nobody reads any more
		ended <- err
	}()
	over := make(chan struct{})
	defer close(over)
	go k.feed(feed, over)
	for {
		select {
		case line := <-out.found:
			if line != "ok" {
				continue // the exit code follows
			}
			if answer != nil {
				answer <- nil
				answer = nil
			}
		case err := <-ended:
			if answer == nil {
				return nil
			}
			if err = failed(err, out.text()+errOut.String()); err == nil {
				answer <- nil
			}
			return err
		}
	}
}

// failed is the error of a keeper that ended before its first answer.
func failed(err error, output string) error {
	output = strings.TrimSpace(output)
	line, _, _ := strings.Cut(output, "\n")
	switch {
	case line == "ok":
		return nil
	case line != "":
		return errors.New(line)
	case err != nil:
		return err
	}
	return errors.New("the exec stream ended early")
}

// feed writes the marker, then signs of life, and at the end that the process is to end. It ends when the exec is over.
func (k *keeper) feed(to *io.PipeWriter, over <-chan struct{}) {
	defer func() { _ = to.Close() }()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for line := k.marker; ; line = "P" {
		if _, err := io.WriteString(to, line+"\n"); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			return
		case <-k.stopping:
			_, _ = io.WriteString(to, "Q\n") // if it is lost, the process ends because it gets no signs of life
			return
		}
	}
}

// stop ends the process of the container.
func (k *keeper) stop() {
	k.once.Do(func() { close(k.stopping) })
	select {
	case <-k.done:
	case <-time.After(stopTimeout):
		k.abort()
		<-k.done
	}
	k.abort()
}

// maxLine is how much of an answer is kept.
const maxLine = 4 << 10

// firstLine passes on the first line that is written to it.
type firstLine struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	found chan string
	sent  bool
}

// Write never fails: what follows the first line is dropped.
func (f *firstLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sent {
		return len(p), nil
	}
	_, _ = f.buf.Write(p[:min(len(p), max(0, maxLine-f.buf.Len()))])
	if line, _, ok := strings.Cut(f.buf.String(), "\n"); ok {
		f.sent = true
		f.found <- line
	}
	return len(p), nil
}

func (f *firstLine) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.buf.String()
}
