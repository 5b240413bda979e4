package cmd

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// ui shows the user what happens, on stderr.
type ui struct {
	out   io.Writer
	watch bool

	mu     sync.Mutex // of the terminal
	screen *screen    // what is redrawn in place; nil if nothing is
}

// Note implements probe.UI.
func (u *ui) Note(format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.screen != nil {
		u.screen.clear()
	}
	output.Say(u.out, format, args...)
}

// Warn implements probe.UI.
func (u *ui) Warn(format string, args ...any) { u.Note("Warning: "+format, args...) }

const progressEvery = 200 * time.Millisecond

// Show implements probe.UI. On a terminal it redraws in place: one line, or the timeline with --watch, which stays there at the end. Without a
// terminal, --watch prints one line for each interval.
func (u *ui) Show(current func() probe.Progress) (stop func()) {
	terminal := output.TakesEscapes(u.out)
	if !terminal && !u.watch {
		return func() {}
	}
	lines := &plainLines{out: u.out}
	draw := func(last bool) {
		p := current()
		u.mu.Lock()
		defer u.mu.Unlock()
		switch {
		case !terminal:
			lines.print(p, last)
		case u.watch:
			u.screen.draw(func(columns, rows int) []string { return watchFrame(p, columns, rows) })
		case last:
			u.screen.clear()
		default:
			u.screen.draw(func(columns, _ int) []string { return []string{progressLine(p, columns)} })
		}
	}
	u.mu.Lock()
	u.screen = &screen{out: u.out}
	u.mu.Unlock()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				draw(false)
			case <-done:
				draw(true)
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		u.mu.Lock()
		defer u.mu.Unlock()
		u.screen = nil
	}
}

// defaultWidth is the width of a terminal that does not report it.
const defaultWidth = 80

// progressLine shows the progress in fewer columns than the terminal has.
func progressLine(p probe.Progress, columns int) string {
	count := fmt.Sprint(p.Requests)
	if p.Target > 0 {
		count += fmt.Sprintf("/%d", p.Target)
	}
	tail := fmt.Sprintf("errors %d", p.Errors)
	if p.Unknown > 0 {
		tail = fmt.Sprintf("unknown %d  ", p.Unknown) + tail
	}
	var members []string
	for _, a := range p.Answers {
		members = append(members, fmt.Sprintf("%s %d", output.Clean(a.Cluster), a.Requests))
	}
	return fitted(columns, "probing "+called(p.URLs), count, members, tail)
}

// called shows what is called.
func called(urls []string) string {
	if len(urls) == 1 {
		return output.Clean(urls[0])
	}
	return fmt.Sprintf("%d URLs", len(urls))
}

// fitted joins the parts of the line so that it has fewer columns than the terminal, because a line that wraps cannot be rewritten. It
// first drops the URL, then the last members, then the end.
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
