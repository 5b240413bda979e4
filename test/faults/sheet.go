package faults

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// cell is what came of a command with a fault.
type cell struct {
	text  string
	wrong []string
	run   run
}

// sheet is the matrix while it is filled. It is safe for concurrent use.
type sheet struct {
	mu      sync.Mutex
	reading []string // rows
	writing []string
	cells   map[string]cell // by row and key of the fault
}

func (s *sheet) row(name string, writing bool) {
	if writing {
		s.writing = append(s.writing, name)
		return
	}
	s.reading = append(s.reading, name)
}

func (s *sheet) add(r Row, f Fault, c cell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cells == nil {
		s.cells = map[string]cell{}
	}
	s.cells[r.name()+"\x00"+f.key()] = c
}

func (s *sheet) wrong() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.cells {
		if len(c.wrong) > 0 {
			n++
		}
	}
	return n
}

// print returns the matrix, and what is wrong in it.
func (s *sheet) print(plugin string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	rows := slices.Concat(s.reading, s.writing)
	current := func(faults []Fault) []Fault {
		out := slices.Clone(faults)
		for n := range out {
			out[n].Current = true
		}
		return out
	}
	s.table(&b, plugin+": exit codes, if one of three clusters has a fault", rows, Reading)
	s.table(&b, plugin+": exit codes, if the fault begins with the first write (-: nothing is written there)", s.writing, Writing)
	s.table(&b, plugin+": exit codes, if the cluster of the current context has the fault", rows, current(Reading))
	s.table(&b, plugin+": exit codes, if the fault begins with the first write, in the cluster of the current context", s.writing, current(Writing))
	for _, name := range rows {
		for _, f := range slices.Concat(Reading, Writing, current(Reading), current(Writing)) {
			c := s.cells[name+"\x00"+f.key()]
			if len(c.wrong) == 0 {
				continue
			}
			fmt.Fprintf(&b, "\n%s, %s (%s): exit code %d\n", name, f.key(), f.About, c.run.code)
			for _, line := range c.wrong {
				fmt.Fprintf(&b, "  WRONG: %s\n", line)
			}
			fmt.Fprintf(&b, "  stderr: %s\n  stdout: %s\n", excerpt(c.run.stderr), excerpt(c.run.stdout))
		}
	}
	return b.String()
}

const (
	// narrowest is the width of a column: an exit code, and a mark if it is wrong.
	narrowest = 3
	// widest is the width of a table.
	widest = 120
)

// legendWidth is the width of the names of faults in the legend.
const legendWidth = 6

// table prints the rows and faults of which there is a cell.
func (s *sheet) table(b *strings.Builder, title string, rows []string, faults []Fault) {
	tried := func(row string, f Fault) bool { _, ok := s.cells[row+"\x00"+f.key()]; return ok }
	rows = slices.DeleteFunc(slices.Clone(rows), func(r string) bool { return !slices.ContainsFunc(faults, func(f Fault) bool { return tried(r, f) }) })
	faults = slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return !slices.ContainsFunc(rows, func(r string) bool { return tried(r, f) }) })
	if len(rows) == 0 {
		return
	}
	width := 0
	for _, r := range rows {
		width = max(width, len(r))
	}
	b.WriteString(title + "\n")
	for first := 0; first < len(faults); {
		// As many columns as fit.
		last, columns := first, width
		for last < len(faults) && columns < widest {
			columns += 1 + max(len(faults[last].Name), narrowest)
			last++
		}
		if columns > widest {
			last--
		}
		s.columns(b, width, rows, faults[first:last])
		first = last
	}
	for _, f := range faults {
		if !f.Current { // it is explained above
			fmt.Fprintf(b, "  %-*s %s\n", legendWidth, f.Name, f.About)
		}
	}
	b.WriteByte('\n')
}

func (s *sheet) columns(b *strings.Builder, width int, rows []string, faults []Fault) {
	fmt.Fprintf(b, "%-*s", width, "")
	for _, f := range faults {
		fmt.Fprintf(b, " %*s", narrowest, f.Name)
	}
	b.WriteByte('\n')
	for _, r := range rows {
		fmt.Fprintf(b, "%-*s", width, r)
		for _, f := range faults {
			c := s.cells[r+"\x00"+f.key()]
			text := c.text
			if len(c.wrong) > 0 {
				text += "!"
			}
			fmt.Fprintf(b, " %*s", max(len(f.Name), narrowest), text)
		}
		b.WriteByte('\n')
	}
}

// excerpt is the beginning of an output.
func excerpt(text string) string {
	const most = 1500
	if len(text) > most {
		text = text[:most] + "..."
	}
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n          ")
}
