package faults

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// TestJudge: for each promise a run that keeps it, and the nearest one that does not.
func TestJudge(t *testing.T) {
	t.Parallel()
	writes := wanted{baseline: run{changed: []string{"eu a", "us a"}}, code: 1, class: failure.Refused, cluster: "eu", wayBack: regexp.MustCompile("kubectl mesh-svc undo")}
	reads := wanted{code: 2, class: failure.Timeout, cluster: "eu", document: true}
	prunes := writes
	prunes.wayBack, prunes.names = nil, true
	const classed = `{"members": [{"name": "us"}, {"name": "eu", "error": {"class": "CLASS"}}]}`
	works := writes
	works.works = true
	either := writes
	either.eitherOr, either.class = true, ""
	const line = "error: cluster eu: refused: EOF\n"
	for name, c := range map[string]struct {
		run  run
		want wanted
		say  string // in what is wrong; empty for nothing
	}{
		"a read fails":                 {run{code: 2, met: true, stdout: "{}", stderr: "error: cluster eu: timeout: x\n"}, reads, ""},
		"no output is an empty one":    {run{code: 2, met: true, stderr: "error: cluster eu: timeout: x\n"}, reads, ""},
		"the class in brackets":        {run{code: 2, met: true, stderr: "error: cluster eu: kubeconfig: kind-eu (timeout)\n"}, reads, ""},
		"half a document":              {run{code: 2, met: true, stdout: `{"a":`, stderr: "error: cluster eu: timeout: x\n"}, reads, "not a valid document"},
		"another class":                {run{code: 2, met: true, stderr: "error: cluster eu: tls: x\n"}, reads, "class timeout"},
		"another cluster":              {run{code: 2, met: true, stderr: "error: cluster us: timeout: x\n"}, reads, "names cluster eu"},
		"a cluster in another word":    {run{code: 2, met: true, stderr: "error: neutral: timeout: x\n"}, reads, "names cluster eu"},
		"no error":                     {run{code: 2, met: true, stderr: "Warning: cluster eu: timeout: x\n"}, reads, "no error"},
		"an error twice":               {run{code: 2, met: true, stderr: strings.Repeat("error: cluster eu: timeout: x\n", 2)}, reads, "twice"},
		"the code of a write":          {run{code: 1, met: true, stderr: "error: cluster eu: timeout: x\n"}, reads, "exit code 1, want 2"},
		"success in spite of it":       {run{met: true}, reads, "exit code 0, want 2"},
		"a hang":                       {run{code: -1, met: true, tooLong: true}, reads, "still running"},
		"a panic":                      {run{code: 2, met: true, stderr: "panic: nil\n\ngoroutine 1 [running]:\n"}, reads, "panic"},
		"nothing is written":           {run{code: 1, met: true, stderr: line}, writes, ""},
		"partly, and how to undo it":   {run{code: 1, met: true, stderr: line + "kubectl mesh-svc undo x\n", changed: []string{"us a"}}, writes, ""},
		"partly, and nothing on that":  {run{code: 1, met: true, stderr: line, changed: []string{"us a"}}, writes, "how to undo"},
		"a file is left":               {run{code: 1, met: true, stderr: line, files: []string{"cas.age"}}, writes, "cas.age"},
		"not to be undone, and named":  {run{code: 1, met: true, stderr: line, stdout: "eu secret/backup-0123abcd deleted", objects: []string{"kind-eu secrets ns/backup-0123abcd"}, changed: []string{"kind-eu secrets ns/backup-*"}}, prunes, ""},
		"not to be undone, nor named":  {run{code: 1, met: true, stderr: line, stdout: "eu secret/backup-0 deleted", objects: []string{"kind-eu secrets ns/backup-0123abcd"}, changed: []string{"kind-eu secrets ns/backup-*"}}, prunes, "does not print it"},
		"the class in the document":    {run{code: 2, met: true, stdout: strings.Replace(classed, "CLASS", "timeout", 1), stderr: "error: cluster eu: timeout: x\n"}, reads, ""},
		"another one in the document":  {run{code: 2, met: true, stdout: strings.Replace(classed, "CLASS", "error", 1), stderr: "error: cluster eu: timeout: x\n"}, reads, "has the class"},
		"the class of its context":     {run{code: 2, met: true, stdout: `{"members": [{"name": "eu", "error": {"class": "kubeconfig", "message": "kind-eu (timeout)"}}]}`, stderr: "error: cluster eu: kind-eu (timeout)\n"}, reads, ""},
		"another one of its context":   {run{code: 2, met: true, stdout: `{"members": [{"name": "eu", "error": {"class": "kubeconfig", "message": "kind-eu (tls)"}}]}`, stderr: "error: cluster eu: kind-eu (timeout)\n"}, reads, "has the class"},
		"not as the schema says":       {run{code: 2, met: true, stdout: `{"apiVersion": "` + v1alpha1.APIVersion + `", "kind": "Nothing"}`, stderr: "error: cluster eu: timeout: x\n"}, reads, "no schema"},
		"it works":                     {run{met: true, changed: []string{"eu a", "us a"}}, works, ""},
		"it works by half":             {run{met: true, changed: []string{"us a"}}, works, "without the fault"},
		"it must work":                 {run{code: 1, met: true, stderr: line}, works, "exit code 1"},
		"the fault is not met":         {run{changed: []string{"eu a", "us a"}}, writes, ""},
		"the fault is not met: fails":  {run{code: 1, stderr: line}, writes, "exit code 1"},
		"it finds out":                 {run{met: true, changed: []string{"eu a", "us a"}}, either, ""},
		"it does not know":             {run{code: 1, met: true, stderr: "error: cluster eu: cannot determine\nkubectl mesh-svc undo x\n", changed: []string{"eu a"}}, either, ""},
		"it says what is not true":     {run{code: 1, met: true, stderr: "error: cluster eu: it was not written\nkubectl mesh-svc undo x\n", changed: []string{"eu a"}}, either, "and it was"},
		"it finds out, and stops then": {run{met: true, changed: []string{"eu a"}}, either, "without the fault"},
	} {
		got := strings.Join(judge(c.run, c.want), "; ")
		if (got == "") != (c.say == "") || !strings.Contains(got, c.say) {
			t.Errorf("%s: %q, want %q", name, got, c.say)
		}
	}
}

// TestChanges: what only a lab's own controllers change is not a change, and random parts of names are left out.
func TestChanges(t *testing.T) {
	t.Parallel()
	of := func(version, value string) object {
		u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"resourceVersion": version}, "data": map[string]any{"a": value}, "status": map[string]any{"seen": version}}}
		text, err := lasting(u)
		if err != nil {
			t.Fatal(err)
		}
		return object{content: u, text: text}
	}
	before := state{"eu a": of("1", "x"), "eu b": of("1", "x"), "eu gone": of("1", "x")}
	after := state{"eu a": of("2", "x"), "eu b": of("2", "y"), "eu backup-0123abcd": of("1", "x")}
	if d := cmp.Diff([]string{"eu b", "eu backup-*", "eu gone"}, changes(before, after)); d != "" {
		t.Error(d)
	}
}

// TestCommands: what can be run, at any depth; groups and roots that only print help are not commands.
func TestCommands(t *testing.T) {
	t.Parallel()
	runs := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "plugin", Run: runs}
	group := &cobra.Command{Use: "group"}
	group.AddCommand(&cobra.Command{Use: "leaf ARG", Run: runs})
	both := &cobra.Command{Use: "both", Run: runs}
	both.AddCommand(&cobra.Command{Use: "leaf", Run: runs})
	root.AddCommand(group, both)
	if d := cmp.Diff([]string{"both", "both leaf", "group leaf", "help"}, commands(root)); d != "" {
		t.Error(d)
	}
	root.Long = "Exit codes: 0"
	if got := commands(root); got[0] != "" {
		t.Errorf("%q has no root", got)
	}
}

// TestPrint: the matrix fits 120 columns, and marks and explains what is wrong.
func TestPrint(t *testing.T) {
	t.Parallel()
	var s sheet
	r := Row{Command: "rotate continue"}
	s.row(r.name(), true)
	all := r.faults(true, false)
	for n, f := range all {
		c := cell{text: "1"}
		if n == 3 {
			c.wrong = []string{"a panic"}
		}
		s.add(r, f, c)
	}
	text := s.print("kubectl mesh-ca")
	if got := strings.Count(text, " 1"); got < len(all) || !strings.Contains(text, "the cluster of the current context has the fault") {
		t.Errorf("%d cells of %d are printed, or no table has the current context\n%s", got, len(all), text)
	}
	if s.wrong() != 1 || strings.Count(text, " 1!") != 1 || !strings.Contains(text, "WRONG: a panic") {
		t.Errorf("%d wrong\n%s", s.wrong(), text)
	}
	for line := range strings.Lines(text) {
		if len(line) > 121 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// TestWords: an error of each class that a fault has is recognized, whether its class is printed or not.
func TestWords(t *testing.T) {
	t.Parallel()
	for _, f := range append(slices.Clone(Reading), Writing...) {
		if f.Class != "" && words[f.Class] == nil {
			t.Errorf("%s: no words for class %s", f.key(), f.Class)
		}
	}
}

// TestReachesTerminal: what is to be found is found, and only that.
func TestReachesTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"plain\ttext\n": 0, `{"a":"\u001b[2J"}` + "\n": 0, "a \x1b[2J": 1, "a\rb\n": 1, "a \u202e b": 1, "x\u009b31m": 1, injected: 1, "  " + injected: 0,
	} {
		if got := reachesTerminal(text); len(got) != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
