package cmd

import (
	"fmt"
	"strings"
	"sync"
	"time"

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
				_, _ = fmt.Fprint(s.ErrOut, "\r\x1b[K"+p.line())
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

// line sums up all clients, as long as the terminal is narrow.
func (p *progress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	total, failed, unknown := 0, 0, 0
	var b strings.Builder
	for _, m := range p.s.known {
		n := 0
		for _, c := range p.s.clients {
			n += c.Tally.Count(m.Name)
		}
		fmt.Fprintf(&b, "  %s %d", m.Name, n)
	}
	for _, c := range p.s.clients {
		total += c.Tally.Requests
		failed += c.Tally.Failed()
		unknown += c.Tally.Unknown
	}
	line := fmt.Sprintf("probing %s  %d", p.s.url, total)
	if p.s.o.duration == 0 {
		line += fmt.Sprintf("/%d", p.s.o.count*len(p.s.clients))
	}
	line += b.String()
	if unknown > 0 {
		line += fmt.Sprintf("  unknown %d", unknown)
	}
	line += fmt.Sprintf("  errors %d", failed)
	if r := []rune(output.Clean(line)); len(r) > 110 {
		return string(r[:110])
	}
	return output.Clean(line)
}
