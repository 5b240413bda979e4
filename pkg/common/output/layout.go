package output

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The measures of a table: those of kubectl's printer, and the width that a table has at most.
const (
	padding = 3
	// narrowPadding is the padding of a table that is too wide although its cells are broken between words.
	narrowPadding = 2
	minCell       = 6
	maxWidth      = 120
	// minWrapped is the minimum width of a column whose words must be broken.
	minWrapped = 10
	// minText is the minimum width of a column whose cells are broken between words, while other columns can still be narrowed.
	minText = 16
)

// layout holds how a table is printed.
type layout struct {
	limit   int // the maximum width
	headers bool
	wide    bool // all columns, each row in one line
	colour  bool
	// verbatim keeps the headers as they are; kubectl prints those of its own tables in capitals.
	verbatim bool
	gap      int // the padding between columns
}

// column is one visible column of a table.
type column struct {
	header string
	index  int // of the cell in a row
	state  bool
	width  int
}

// print writes the table as kubectl does. Where it would be too wide, cells continue in the next line: a reader follows a
// column more easily than a terminal's own line breaks. Colours come last, so that they do not count for the width.
func (l layout) print(out *bytes.Buffer, t *metav1.Table) {
	if len(t.Rows) == 0 && !l.verbatim {
		return
	}
	columns := l.columns(t)
	l.gap = padding
	if !l.wide && l.headers {
		l.gap = fit(columns, t, l.limit)
	}
	if l.headers {
		line := make([]string, len(columns))
		for i, c := range columns {
			line[i] = c.header
		}
		l.printLine(out, columns, line, nil)
	}
	for _, row := range t.Rows {
		l.printRow(out, columns, row)
	}
}

// columns returns the visible columns with the width that their longest cell needs.
func (l layout) columns(t *metav1.Table) []column {
	var out []column
	for i, d := range t.ColumnDefinitions {
		if d.Priority != 0 && !l.wide {
			continue
		}
		c := column{header: Clean(d.Name), index: i, state: d.Format == stateFormat}
		if !l.verbatim {
			c.header = strings.ToUpper(c.header)
		}
		if l.headers {
			c.width = utf8.RuneCountInString(c.header)
		}
		for _, row := range t.Rows {
			c.width = max(c.width, utf8.RuneCountInString(cell(row, i)))
		}
		out = append(out, c)
	}
	return out
}

// cell returns the text of a cell, in one line.
func cell(row metav1.TableRow, i int) string {
	if i >= len(row.Cells) || row.Cells[i] == nil {
		return ""
	}
	return Clean(fmt.Sprint(row.Cells[i]))
}

// tableWidth is the maximum width of a table: what COLUMNS says, else 120, or less on a narrower terminal. A nil stream is not a terminal.
func tableWidth(w io.Writer) int {
	if n := columnsVariable(); n > 0 {
		return n
	}
	if columns, ok := TerminalWidth(w); ok {
		return min(columns, maxWidth)
	}
	return maxWidth
}

// columnsVariable is the width that COLUMNS says, 0 if it says none.
func columnsVariable() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 0
}

// fit narrows the widest columns until the table is at most limit wide: first where words end, then, if that is not
// enough, with less padding, then inside words. A table that has too many columns for that stays too wide. It returns the padding.
func fit(columns []column, t *metav1.Table, limit int) int {
	if total(columns, padding) <= limit {
		return padding
	}
	full, words, least := make([]int, len(columns)), make([]int, len(columns)), make([]int, len(columns))
	for i, c := range columns {
		full[i] = c.width
		least[i] = max(utf8.RuneCountInString(c.header), minWrapped)
		words[i] = max(utf8.RuneCountInString(c.header), min(c.width, minText))
		for _, row := range t.Rows {
			for _, w := range breakable(cell(row, c.index)) {
				words[i] = max(words[i], utf8.RuneCountInString(strings.TrimRight(w, " ")))
			}
		}
	}
	for _, try := range []struct {
		floor, from []int // nil: from what the one before has left
		gap         int
	}{{words, nil, padding}, {words, full, narrowPadding}, {least, nil, narrowPadding}} {
		for i := range try.from {
			columns[i].width = try.from[i]
		}
		for total(columns, try.gap) > limit {
			widest := -1
			for i, c := range columns {
				if c.width > try.floor[i] && (widest < 0 || c.width > columns[widest].width) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			columns[widest].width--
		}
		if total(columns, try.gap) <= limit {
			return try.gap
		}
	}
	return narrowPadding
}

// Fits reports whether a table needs no more than the default width. Views show a matrix of many clusters in another way.
func Fits(t *metav1.Table) bool {
	return total(layout{headers: true}.columns(t), padding) <= tableWidth(os.Stdout)
}

// Width is how many columns a table needs if no cell is broken.
func Width(t *metav1.Table) int { return total(layout{headers: true}.columns(t), padding) }

// total is the width of a table.
func total(columns []column, gap int) int {
	n := 0
	for i, c := range columns {
		if i == len(columns)-1 {
			n += c.width
		} else {
			n += max(minCell, c.width+gap)
		}
	}
	return n
}

// breakable cuts a text behind each blank and each comma: a line may end there.
func breakable(s string) []string {
	var out []string
	for s != "" {
		end := strings.IndexAny(s, " ,")
		if end < 0 {
			return append(out, s)
		}
		for end++; end < len(s) && s[end] == ' '; {
			end++
		}
		out, s = append(out, s[:end]), s[end:]
	}
	return out
}

// wrap breaks a text into lines of at most width characters.
func wrap(s string, width int) []string {
	if utf8.RuneCountInString(s) <= width {
		return []string{s}
	}
	var lines []string
	line := ""
	flush := func() {
		if line = strings.TrimRight(line, " "); line != "" {
			lines = append(lines, line)
		}
		line = ""
	}
	for _, word := range breakable(s) {
		if utf8.RuneCountInString(strings.TrimRight(line+word, " ")) > width {
			flush()
		}
		for utf8.RuneCountInString(strings.TrimRight(word, " ")) > width {
			end := breakInside(word, width)
			line, word = word[:end], word[end:]
			flush()
		}
		line += word
	}
	flush()
	return lines
}

// breakInside returns where to break a word that is longer than a line: behind a separator in its second half, else at the end of the line.
func breakInside(word string, width int) int {
	n, at, end := 0, 0, len(word)
	for i, r := range word {
		if n == width {
			end = i
			break
		}
		n++
		if n > width/2 && strings.ContainsRune("/:.=-_@", r) {
			at = i + utf8.RuneLen(r)
		}
	}
	if at > 0 {
		return at
	}
	return end
}

// printRow prints one row, in as many lines as its cells need.
func (l layout) printRow(out *bytes.Buffer, columns []column, row metav1.TableRow) {
	cells := make([][]string, len(columns))
	colours := make([]string, len(columns))
	lines := 1
	for i, c := range columns {
		text := cell(row, c.index)
		cells[i] = wrap(text, c.width)
		if l.colour && c.state {
			colours[i] = colourOf(text)
		}
		lines = max(lines, len(cells[i]))
	}
	for n := range lines {
		line := make([]string, len(columns))
		for i := range cells {
			if n < len(cells[i]) {
				line[i] = cells[i][n]
			}
		}
		l.printLine(out, columns, line, colours)
	}
}

// printLine prints one line of text without blanks at its end.
func (l layout) printLine(out *bytes.Buffer, columns []column, line, colours []string) {
	last := len(line) - 1
	for last > 0 && line[last] == "" {
		last--
	}
	for i, text := range line[:last+1] {
		pad := 0
		if i < last {
			pad = max(minCell, columns[i].width+l.gap) - utf8.RuneCountInString(text)
		}
		if len(colours) > 0 && colours[i] != "" && text != "" {
			text = colours[i] + text + reset
		}
		out.WriteString(text)
		out.WriteString(strings.Repeat(" ", pad))
	}
	out.WriteByte('\n')
}
