package cmd

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
)

// running is the progress of a run after this many intervals. Cluster us fails in the middle.
func running(intervals int) probe.Progress {
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	p := probe.Progress{
		URLs: []string{"http://nginx.a-long-namespace.svc.cluster.local:8080/"}, Requests: 10 * intervals, Target: 1000, Width: time.Second, Begun: start,
		Answers: []probe.Answers{{Cluster: "us", Requests: 5}, {Cluster: "eu-with-a-very-long-name", Requests: 7}}, Errors: 3,
		Marks: []v1alpha1.ProbeMark{{Time: start.Add(20 * time.Second), Text: "kubectl scale deployment nginx --replicas 0 \x1b[2J" + strings.Repeat("x", 200), Command: "x"}},
	}
	for n := range intervals {
		i := v1alpha1.ProbeTimeInterval{StartTime: start.Add(time.Duration(n) * time.Second), Requests: 10, Answers: map[string]int{"us": 5, "eu-with-a-very-long-name": 5}, MedianMs: ptr.To(1.5), MaxMs: ptr.To(20.0)}
		if n == 21 {
			i.Answers, i.NoAnswer, i.Errors, i.MedianMs, i.MaxMs = nil, 10, 10, nil, nil
		}
		p.Intervals = append(p.Intervals, i)
	}
	return p
}

// A frame is narrower and lower than the terminal, at any size, and has no control characters.
func TestWatchFrameFits(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{10, 20, 40, 80, 120, 300} {
		for _, rows := range []int{3, 6, 24, 60} {
			for _, n := range []int{0, 1, 22, 60} {
				frame := watchFrame(running(n), columns, rows)
				if len(frame) >= max(3, rows) {
					t.Errorf("%d lines on %d rows", len(frame), rows)
				}
				for _, line := range frame {
					if utf8.RuneCountInString(line) >= columns || strings.ContainsAny(line, "\x1b\n\r") {
						t.Errorf("%d columns: %q", columns, line)
					}
				}
			}
		}
	}
}

// At 80 columns all lanes, the errors, the latency and the marks are there.
func TestWatchFrame(t *testing.T) {
	t.Parallel()
	text := strings.Join(watchFrame(running(40), 80, 24), "\n")
	for _, want := range []string{"400/1000", "us ", "|▅▅▅", "eu-with-a-very", "errors", "....█....", "latency: median 1.5ms now, maximum 20.0ms", "marks", "1s for each character, from 12:00:00.0 UTC", "1 +20.00s kubectl scale"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// terminal is as much of a terminal as redrawing needs: lines, a cursor, and erasing.
type terminal struct {
	rows    [][]rune
	row     int
	columns int
}

var sequence = regexp.MustCompile(`^\x1b\[(\d*)([AKJ])`)

func (s *terminal) write(t *testing.T, text []byte) {
	t.Helper()
	col := 0
	for len(text) > 0 {
		if m := sequence.FindSubmatch(text); m != nil {
			switch n, _ := strconv.Atoi(string(m[1])); string(m[2]) {
			case "A":
				if s.row -= n; s.row < 0 {
					t.Fatal("the cursor leaves the terminal")
				}
			case "K":
				s.rows[s.row] = s.rows[s.row][:min(col, len(s.rows[s.row]))]
			case "J":
				s.rows = s.rows[:s.row+1]
				s.rows[s.row] = s.rows[s.row][:min(col, len(s.rows[s.row]))]
			}
			text = text[len(m[0]):]
			continue
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch r {
		case '\r':
			col = 0
		case '\n':
			s.row, col = s.row+1, 0
		default:
			if col == s.columns {
				t.Fatal("a line wraps")
			}
			line := s.rows[s.row]
			s.rows[s.row] = append(line[:min(col, len(line))], append([]rune{r}, line[min(col+1, len(line)):]...)...)
			col++
		}
		for len(s.rows) <= s.row {
			s.rows = append(s.rows, nil)
		}
	}
}

func (s *terminal) text() []string {
	var out []string
	for _, r := range s.rows {
		out = append(out, string(r))
	}
	return out
}

// After each frame the terminal shows that frame and what was above it, and nothing else, also when frames grow, shrink and end.
func TestRedraw(t *testing.T) {
	t.Parallel()
	screen := &terminal{columns: 80, rows: [][]rune{nil}}
	screen.write(t, []byte("before\n"))
	var drawn []string
	for _, n := range []int{1, 30, 2, 60, 0} {
		frame := watchFrame(running(n), 80, 24)
		screen.write(t, redraw(drawn, frame, 80))
		drawn = frame
		if want := append(append([]string{"before"}, frame...), ""); !slices.Equal(screen.text(), want) {
			t.Errorf("%d intervals: the terminal shows\n%s\nwant\n%s", n, strings.Join(screen.text(), "\n"), strings.Join(want, "\n"))
		}
	}
	screen.write(t, redraw(drawn, nil, 80))
	if got := screen.text(); !slices.Equal(got, []string{"before", ""}) {
		t.Errorf("after clearing: %q", got)
	}
}

// A terminal that was made narrower has wrapped the lines of the last frame.
func TestRedrawAfterResize(t *testing.T) {
	t.Parallel()
	drawn := []string{strings.Repeat("x", 79), strings.Repeat("y", 40), strings.Repeat("z", 41), ""}
	if got := string(redraw(drawn, nil, 40)); got != "\x1b[6A\r\x1b[J" {
		t.Errorf("%q", got)
	}
}

// Without a terminal each interval is one line, once, when it is over.
func TestPlainLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	lines := &plainLines{out: &out}
	for n := range 23 {
		lines.print(running(n), false)
		lines.print(running(n), false)
	}
	lines.print(running(23), true)
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(got) != 23 || got[0] != "12:00:00.0  requests 10  us 50%  eu-with-a-very-long-name 50%  errors 0  median 1.5ms  max 20.0ms" || !strings.Contains(got[20], "mark: kubectl scale") || !strings.Contains(got[21], "errors 10") {
		t.Errorf("%d lines:\n%s", len(got), out.String())
	}
}

// runningURLs is running with two URLs: every other request goes to the second one, and only that one fails.
func runningURLs(intervals int) probe.Progress {
	p := running(intervals)
	p.URLs = []string{"http://nginx/health", "http://nginx/work"}
	p.ByURL = make([][]v1alpha1.ProbeTimeInterval, 2)
	for _, i := range p.Intervals {
		a, b := i, i
		a.Requests, a.Answers, a.Errors, a.NoAnswer = 5, map[string]int{"us": 5}, 0, 0
		b.Requests = 5
		b.Errors, b.NoAnswer = i.Errors/2, i.NoAnswer/2
		if i.Answers != nil {
			b.Answers = map[string]int{"eu-with-a-very-long-name": 5}
		}
		p.ByURL[0], p.ByURL[1] = append(p.ByURL[0], a), append(p.ByURL[1], b)
	}
	return p
}

// With several URLs each has its lanes and its lines.
func TestWatchSeveralURLs(t *testing.T) {
	t.Parallel()
	frame := watchFrame(runningURLs(40), 100, 40)
	text := strings.Join(frame, "\n")
	for _, want := range []string{"probing 2 URLs  400/1000", "\nhttp://nginx/health\nus ", "\nhttp://nginx/work\nus ", "us               |████", "eu-with-a-very…  |████", "errors           |....................."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if narrow := watchFrame(runningURLs(60), 40, 12); len(narrow) > 11 {
		t.Errorf("%d lines", len(narrow))
	}
	var out bytes.Buffer
	lines := &plainLines{out: &out}
	lines.print(runningURLs(23), true)
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(got) != 46 || got[0] != "12:00:00.0  http://nginx/health  requests 5  us 100%  eu-with-a-very-long-name 0%  errors 0  median 1.5ms  max 20.0ms" || !strings.Contains(got[43], "http://nginx/work  requests 5") || !strings.Contains(got[43], "errors 5") {
		t.Errorf("%d lines:\n%s", len(got), out.String())
	}
}
