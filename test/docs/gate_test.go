package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

// gate is a command whose exit code depends on a sample of requests. By design, true expectations fail in up to 1 % of the runs, and a single request
// without an answer makes a check inconclusive.
var gate = regexp.MustCompile(`^kubectl mesh-probe .*--(expect|expect-prediction|abort-on)\b`)

// try runs a command and returns what the terminal showed, and what is wrong with that. A gate that ends with 1 or 2 unexpectedly is run once more: by
// chance it fails twice in at most 1 of 10,000 runs, and a wrong prediction fails both times.
func (w want) try(t *testing.T, s *Session, page string, c Command, run string) (shown string, wrong []string, err error) {
	t.Helper()
	for again := gate.MatchString(run); ; again = false {
		var code int
		if shown, code, err = s.Run(t.Context(), run, w.conversation(c.Text)...); err != nil {
			return shown, nil, err
		}
		shown = colour.ReplaceAllString(shown, "")
		t.Logf("%s:%d: $ %s\n%s(exit code %d)", page, c.Line, run, shown, code)
		if unexpected := !slices.Contains(append([]int{w.code}, w.or...), code); !unexpected || !again || code != 1 && code != 2 {
			return shown, w.problems(c, shown, code), nil
		}
		t.Logf("%s:%d: exit code %d is run once more", page, c.Line, code)
	}
}

// problems are what a command did not do as its page says.
func (w want) problems(c Command, shown string, code int) (out []string) {
	if !slices.Contains(append([]int{w.code}, w.or...), code) {
		out = append(out, fmt.Sprintf("exit code %d, want %d", code, w.code))
	}
	if !regexp.MustCompile(w.shows).MatchString(shown) {
		out = append(out, "it does not show "+w.shows)
	}
	if missing := Missing(c.Shown, shown); missing != "" {
		out = append(out, "it does not show this line of the page: "+missing)
	}
	return out
}

// fileProblems are what is wrong with the file that a command writes.
func (w want) fileProblems(dir string) []string {
	content, err := os.ReadFile(filepath.Join(dir, w.file))
	switch {
	case err != nil:
		return []string{err.Error()}
	case !strings.Contains(string(content), w.holds):
		return []string{fmt.Sprintf("the file %s does not have %s: %.500s", w.file, w.holds, content)}
	}
	return nil
}

// failures are what report was told of.
var failures struct {
	sync.Mutex
	lines []string
}

// lastLines is how many lines of a command's output are repeated at the end of the tests.
const lastLines = 5

// report keeps a problem for the end of the output, which CI shows even where it cuts a long log in the middle.
func report(problem, shown string) {
	failures.Lock()
	defer failures.Unlock()
	lines := strings.FieldsFunc(shown, func(r rune) bool { return r == '\n' || r == '\r' })
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.TrimSpace(l) == "" })
	failures.lines = append(failures.lines, problem)
	for _, l := range lines[max(0, len(lines)-lastLines):] {
		failures.lines = append(failures.lines, "    "+l)
	}
}

// mostLines is how many lines of problems are repeated at the end: the first problem is often the reason of those after it.
const mostLines = 10

func TestMain(m *testing.M) {
	code := m.Run()
	// All tests have ended, so nobody else uses the failures.
	if len(failures.lines) > 0 {
		_, _ = fmt.Fprintln(os.Stdout, "What the pages show and the lab did not do:\n"+strings.Join(failures.lines[:min(mostLines, len(failures.lines))], "\n"))
	}
	os.Exit(code)
}

// TestGateIsTriedTwice: a gate that fails once counts by its second run, and one that fails twice has failed. Nothing else is run twice.
func TestGateIsTriedTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// It notes each run, and exits with the code that its last argument has for this run.
	const script = "#!/bin/sh\necho \"$*\" >>runs\nfor last; do :; done\necho \"$last\" | cut -c \"$(wc -l <runs)\" >code\necho shown\nexit \"$(cat code)\"\n"
	program.Write(t, filepath.Join(dir, "kubectl"), script)
	for run, c := range map[string]struct {
		want want
		runs int
		bad  bool
	}{
		"kubectl mesh-probe http://nginx --expect-prediction --settle 00":  {want{}, 1, false},
		"kubectl mesh-probe http://nginx --expect-prediction --settle 10":  {want{}, 2, false},
		"kubectl mesh-probe http://nginx --expect only=us --settle 20":     {want{}, 2, false},
		"kubectl mesh-probe http://nginx --expect only=us --settle 210":    {want{}, 2, true},
		"kubectl mesh-probe http://nginx --expect only=us --settle 30":     {want{}, 1, true}, // not a result of a check
		"kubectl mesh-probe http://nginx --from deploy/client --settle 10": {want{}, 1, true}, // not a gate
		"kubectl mesh-ca check --for 10":                                   {want{}, 1, true},
		"kubectl mesh-probe drill nginx --expect failover --settle 20":     {want{or: []int{1, 2}}, 1, false},
		"kubectl mesh-probe http://nginx --expect only=us --settle 00 ":    {want{shows: "absent"}, 1, true},
	} {
		s := &Session{Dir: t.TempDir(), Env: append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))}
		shown, wrong, err := c.want.try(t, s, "page.md", Command{Line: 7, Text: run}, run)
		if err != nil || !strings.Contains(shown, "shown") || len(wrong) > 0 != c.bad {
			t.Errorf("%s: %q, %q, %v", run, shown, wrong, err)
		}
		if runs, err := os.ReadFile(filepath.Join(s.Dir, "runs")); err != nil || strings.Count(string(runs), "\n") != c.runs {
			t.Errorf("%s: %v, runs %q, want %d", run, err, runs, c.runs)
		}
	}
}
