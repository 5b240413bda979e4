// Command verdict reads what `go test -json` prints and says what became of it: each
// package's line, the output of tests that failed, and a count. A skipped test fails
// the run, and so does a run in which nothing was tested. It knows nothing of the tests.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	if err := judge(os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// event is a line of test2json; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
}

// tally is what is known so far.
type tally struct {
	passed, failed int
	skipped        []string
	// said is what tests have printed that have not ended, by package and test.
	said map[string]map[string]string
	// failedIn are the packages with a failed test.
	failedIn map[string]bool
}

// judge copies to out what a reader wants to know and returns an error unless every
// test passed.
func judge(in io.Reader, out io.Writer) error {
	t := tally{said: map[string]map[string]string{}, failedIn: map[string]bool{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			_, _ = io.WriteString(out, t.line(line))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skipped))
	switch {
	case len(t.skipped) > 0:
		return fmt.Errorf("skipped, although nothing may be: %s", strings.Join(t.skipped, ", "))
	case t.failed > 0:
		return fmt.Errorf("%d tests failed", t.failed)
	case t.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// line takes in one line and returns what is to be shown for it.
func (t *tally) line(line string) string {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		return line // not a test's: what the go command itself says
	}
	if e.Test == "" {
		return t.packageEvent(e)
	}
	switch e.Action {
	case "output":
		if t.said[e.Package] == nil {
			t.said[e.Package] = map[string]string{}
		}
		t.said[e.Package][e.Test] += e.Output
	case "pass":
		t.passed++
		t.take(e)
	case "skip":
		t.skipped = append(t.skipped, e.Package+"."+e.Test)
		return t.take(e)
	case "fail":
		t.failed++
		t.failedIn[e.Package] = true
		return t.take(e)
	}
	return ""
}

// take returns and forgets what a test has printed, without its progress.
func (t *tally) take(e event) string {
	var b strings.Builder
	for line := range strings.Lines(t.said[e.Package][e.Test]) {
		if !strings.HasPrefix(strings.TrimLeft(line, " "), "=== ") {
			b.WriteString(line)
		}
	}
	delete(t.said[e.Package], e.Test)
	return b.String()
}

// packageEvent takes in what belongs to no test.
func (t *tally) packageEvent(e event) string {
	switch e.Action {
	case "output", "build-output":
		if e.Output == "PASS\n" || e.Output == "FAIL\n" || strings.Contains(e.Output, "[no test files]") {
			return ""
		}
		return e.Output
	case "fail":
		// A test that never ended has not failed by itself: a time limit, a crash.
		var b strings.Builder
		for test, said := range t.said[e.Package] {
			b.WriteString(said)
			_, _ = fmt.Fprintf(&b, "--- FAIL: %s did not end\n", test)
		}
		if b.Len() > 0 || !t.failedIn[e.Package] {
			t.failed++
		}
		return b.String()
	}
	return ""
}
