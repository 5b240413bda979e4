package faults

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
)

// Row is a command, as a command line that works without a fault.
type Row struct {
	Command string   // the words after the plugin; empty for the plugin itself
	Args    []string // what follows
	// Variant names a further row of a command, which only meets the faults at writes: it reads as the first row does.
	Variant string
	// Reach are further arguments with which the command shows more of the faulty cluster, for threats (Hostile) that let it be read.
	Reach []string
	// Exit is the exit code without a fault. A command may end with a finding.
	Exit int
	// Offline commands ask no cluster: no fault changes what they do.
	Offline bool
	// Prepare brings the clusters into the state that the command needs, and returns further arguments. It runs before every run.
	Prepare func(e *Env) []string
	// Changes says that a command that counts as reading, by its exit codes, writes to clusters.
	Changes bool
	// Timed says that the exit code depends on when clients got their answers. On a busy machine it may differ, so it is wrong only if it is twice in a row.
	Timed bool
	// WayBack matches what the command must print if it failed and something is changed.
	WayBack string
	// NoWayBack is the reason why what the command changes cannot be undone. It must then print the name of each object that it has changed.
	NoWayBack string
}

// Matrix is a plugin with its commands.
type Matrix struct {
	Binary string // on PATH
	Root   *cobra.Command
	Rows   []Row
	// Global are added to each command that asks clusters.
	Global []string
	// Faulty is the cluster with the fault, as Cilium calls it. Its context has the prefix kind-.
	Faulty string
	// Note is what the matrix does not show, for the reader of it.
	Note string
}

const (
	// hardLimit is after how long a run counts as one that hangs. It asserts no duration: the machine may be busy.
	hardLimit = 90 * time.Second
	// together is how many commands that only read run at the same time. Most of them wait.
	together = 4
)

// EveryCommand fails for each command of the plugin without a row, and for each row without a command.
func (m Matrix) EveryCommand(t *testing.T) {
	t.Helper()
	rows, names := map[string]bool{}, map[string]bool{}
	for _, r := range m.Rows {
		if names[r.name()] {
			t.Errorf("%q has two rows", r.name())
		}
		names[r.name()] = true
		if r.Variant == "" {
			rows[r.Command] = true
		}
		if r.WayBack == "" && r.NoWayBack == "" && !r.Offline && cli.IsWriting(m.find(t, r)) {
			t.Errorf("%q writes, and has no WayBack, nor a reason", r.Command)
		}
	}
	for _, c := range commands(m.Root) {
		if !rows[c] {
			t.Errorf("kubectl %s %s has no row in the table of faults", strings.TrimPrefix(m.Root.DisplayName(), "kubectl "), c)
		}
		delete(rows, c)
	}
	for r := range rows {
		t.Errorf("the row %q is not a command", r)
	}
}

// commands are all that can be run, by their words after the plugin. A root that only prints its help is not one.
func commands(root *cobra.Command) []string {
	var out []string
	var visit func(c *cobra.Command, path []string)
	visit = func(c *cobra.Command, path []string) {
		// The root of a plugin whose root is a command names its exit codes.
		if c.Runnable() && (c != root || strings.Contains(c.Long, "Exit codes:")) && c.Name() != cobra.ShellCompRequestCmd {
			out = append(out, strings.Join(path, " "))
		}
		for _, sub := range c.Commands() {
			visit(sub, append(slices.Clone(path), sub.Name()))
		}
	}
	root.InitDefaultHelpCmd()
	visit(root, nil)
	return out
}

func (m Matrix) find(t *testing.T, r Row) *cobra.Command {
	t.Helper()
	c, _, err := m.Root.Find(strings.Fields(r.Command))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Run runs every command with every fault, writes the matrix to $FAULTS_DIR, and fails for each cell that is not as documented. FAULTS=short leaves out most faults,
// ONLY (a regular expression) all commands that it does not match.
func (m Matrix) Run(t *testing.T, prepare func(e *Env)) {
	e := newEnv(t, m)
	prepare(e)
	only := regexp.MustCompile(os.Getenv("ONLY"))
	short := os.Getenv("FAULTS") == "short"
	var sheet sheet
	limit := make(chan struct{}, together)
	var reading sync.WaitGroup
	for _, writing := range []bool{false, true} {
		for _, r := range m.Rows {
			if cmd := m.find(t, r); cli.IsWriting(cmd) != writing || !only.MatchString(r.Command) {
				continue
			}
			sheet.row(r.name(), r.writes(writing))
			baselines := map[bool]run{}
			for _, f := range r.faults(writing, short) {
				if _, known := baselines[f.Current]; !known {
					baselines[f.Current] = e.baseline(r, f.Current)
				}
				baseline := baselines[f.Current]
				if r.serial() {
					sheet.add(r, f, e.cell(r, f, baseline, writing))
					continue
				}
				limit <- struct{}{}
				reading.Go(func() {
					defer func() { <-limit }()
					sheet.add(r, f, e.cell(r, f, baseline, writing))
				})
			}
			m.save(t, &sheet)
		}
		reading.Wait()
	}
	text := m.save(t, &sheet)
	if sheet.wrong() > 0 {
		t.Errorf("%d cells are not as documented", sheet.wrong())
	}
	t.Log("\n" + text)
}

// save writes what is known of the matrix: an interrupted run leaves what it has found out.
func (m Matrix) save(t *testing.T, s *sheet) string {
	t.Helper()
	text := s.print(m.Root.DisplayName())
	if m.Note != "" {
		text += m.Note + "\n\n"
	}
	if dir := os.Getenv("FAULTS_DIR"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, m.Binary+".txt"), []byte(text), 0o600); err != nil { //nolint:gosec // the directory is the caller's
			t.Error(err)
		}
	}
	return text
}

// name is how the row is called in the matrix.
func (r Row) name() string {
	return strings.TrimSpace(cmp.Or(r.Command, "(no subcommand)") + " " + r.Variant)
}

// writes reports whether faults at writes are tried.
func (r Row) writes(writing bool) bool { return !r.Offline && (writing || r.Changes) }

// faults are those that the row meets: all, or the most important ones only, in a cluster that is not that of the current context; then the most important ones in that of the
// current context, of which the short form leaves out those of commands that change something.
func (r Row) faults(writing, short bool) []Fault {
	var all []Fault
	if r.Variant == "" {
		all = append(all, Reading...)
	}
	if r.writes(writing) {
		all = append(all, Writing...)
	}
	var out, current []Fault
	for _, f := range all {
		if !short || f.Short {
			out = append(out, f)
		}
		if f.Short && (!short || !r.serial()) {
			f.Current = true
			current = append(current, f)
		}
	}
	return append(out, current...)
}

// serial reports whether the row must run alone, since it changes something. What it changes is restored.
func (r Row) serial() bool { return r.WayBack != "" || r.NoWayBack != "" || r.Prepare != nil }

// attempts is how often a cell is tried if a cluster without the fault is late, because the machine is busy.
const attempts = 4

// cell is one run with one fault.
func (e *Env) cell(r Row, f Fault, baseline run, writing bool) cell {
	c := e.once(r, f, baseline, writing)
	if r.Timed && len(c.wrong) == 1 && strings.HasPrefix(c.wrong[0], exitCode) {
		e.T.Logf("%s, %s: %s; it is run once more", r.Command, f.key(), c.wrong[0])
		c = e.once(r, f, baseline, writing)
	}
	return c
}

func (e *Env) once(r Row, f Fault, baseline run, writing bool) cell {
	got := e.run(r, f)
	for n := 1; n < attempts && e.late(got, f); n++ {
		got = e.run(r, f)
	}
	w := wanted{baseline: baseline, works: f.Class == "", code: cli.ExitNoAnswer, class: f.Class, cluster: e.matrix.Faulty, document: r.document(e), names: r.NoWayBack != ""}
	if writing {
		w.code = cli.ExitFailure
	}
	if f.Done {
		w.works, w.eitherOr = false, true
	}
	if r.WayBack != "" {
		w.wayBack = regexp.MustCompile(r.WayBack)
	}
	if r.Offline {
		w.works = true
	}
	c := cell{text: fmt.Sprint(got.code), wrong: judge(got, w), run: got}
	if f.Writes && !got.met {
		c.text = "-"
	}
	return c
}

// late reports whether a cluster did not answer in time that should.
func (e *Env) late(r run, f Fault) bool {
	for line := range strings.Lines(r.stderr + r.stdout) {
		if !strings.Contains(line, "timeout") && !strings.Contains(line, "no answer within") && !strings.Contains(line, "could not be read") {
			continue
		}
		for _, c := range e.Contexts() {
			name := strings.TrimPrefix(c, "kind-")
			healthy := name != e.matrix.Faulty || f.Class == "" && !f.Done
			if healthy && regexp.MustCompile(`\b`+name+`\b`).MatchString(line) {
				return true
			}
		}
	}
	return false
}

// key names a fault in the matrix.
func (f Fault) key() string {
	key := f.Name
	if f.Writes {
		key = "write " + key
	}
	if f.Current {
		key = "current " + key
	}
	return key
}
