package cmd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// progress is one line on stderr that is written over and over, if stderr is a terminal.
type progress struct {
	mu   sync.Mutex // of the tallies
	s    *session
	done chan struct{}
	over sync.WaitGroup
}

const progressEvery = 200 * time.Millisecond

// defaultWidth is that of a terminal that does not tell its own.
const defaultWidth = 80

func newProgress(s *session) *progress {
	p := &progress{s: s, done: make(chan struct{})}
	if !output.IsTerminal(s.ErrOut) {
		return p
	}
	p.over.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = fmt.Fprint(s.ErrOut, "\r\x1b[K"+p.line(width(s.ErrOut)))
			case <-p.done:
				_, _ = fmt.Fprint(s.ErrOut, "\r\x1b[K")
				return
			}
		}
	})
	return p
}

func (p *progress) stop() {
	close(p.done)
	p.over.Wait()
}

// width returns how many columns the terminal has now; it may be resized.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return defaultWidth
}

// aim says how many requests a client is to send in all.
func (p *progress) aim(c *client, requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.target = requests
}

// line sums up all clients within so many columns.
func (p *progress) line(columns int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	total, target, failed, unknown := 0, 0, 0, 0
	for _, c := range p.s.clients {
		total += c.Tally.Requests
		target += c.target
		failed += c.Tally.Failed()
		unknown += c.Tally.Unknown
	}
	count := fmt.Sprint(total)
	if p.s.o.duration == 0 {
		count += fmt.Sprintf("/%d", target)
	}
	tail := fmt.Sprintf("errors %d", failed)
	if unknown > 0 {
		tail = fmt.Sprintf("unknown %d  ", unknown) + tail
	}
	var members []string
	for _, m := range p.s.known {
		n := 0
		for _, c := range p.s.clients {
			n += c.Tally.Count(m.Name)
		}
		members = append(members, fmt.Sprintf("%s %d", output.Clean(m.Name), n))
	}
	return fitted(columns, output.Clean("probing "+p.s.url.String()), count, members, tail)
}

// fitted puts the parts of the line together so that it has fewer columns than the terminal: a line that wraps could not be written over. The
// URL goes first, then the last members, then the end.
func fitted(columns int, head, count string, members []string, tail string) string {
	fits := func(line string) bool { return utf8.RuneCountInString(line) < columns }
	join := func(parts ...string) string { return strings.Join(parts, "  ") }
	body := append([]string{count}, members...)
	if line := join(append(append([]string{head}, body...), tail)...); fits(line) {
		return line
	}
	for n := len(members); n >= 0; n-- {
		parts := body[: 1+n : 1+n]
		if left := len(members) - n; left > 0 {
			parts = append(parts, fmt.Sprintf("+%d more", left))
		}
		if line := join(append(parts, tail)...); fits(line) {
			return line
		}
	}
	r := []rune(count)
	return string(r[:min(len(r), max(0, columns-1))])
}
