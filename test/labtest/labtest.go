// Package labtest runs testscript files against a running lab: the real binaries,
// through the real kubectl, on real API servers. Only tests import it.
package labtest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// watchdog ends a wait that never comes true. It asserts no duration.
const watchdog = 5 * time.Minute

// Commands are commands of scripts, by name.
type Commands = map[string]func(ts *testscript.TestScript, neg bool, args []string)

// Run runs the scripts of a directory one after the other, since they share the lab. Without a lab
// (MESHLAB_KUBECONFIG) it skips; under make test a skip fails.
//
// Each script has KUBECONFIG, a state directory and a HOME of its own, $NS, a namespace that
// exists in no cluster yet, and KUBECTL_VERSION, an expression for the version of kubectl. Every document that a command prints, and every record of mesh-probe that it leaves, must be as
// its schema says. Besides testscript's commands:
//
//	namespace CONTEXT...      make $NS in these contexts; it is deleted at the end of the script
//	lab ARGS...               meshlab ARGS
//	restarts CLUSTER          start this cluster again at the end, whatever happened
//	rollout CONTEXT DEPLOYMENT...
//	                          wait until they are rolled out and the EndpointSlices of $NS are up to date, which is a moment later
//	waitfor [-stdout RE] ARGS run a command until it succeeds (and prints RE)
//	gate [-stdout RE] ARGS    run a command whose result depends on a sample of requests, as exec does. If it fails (or does not print RE), it is
//	                          run once more: a true check fails by chance in up to 1 % of the runs, and by one request that a busy machine lost
//	lines FILE N              FILE has exactly N lines
//	printed FILE...           run the commands that these files hold, exactly as printed, from elsewhere
//	decoy NAME CONTEXT...     make a Service of namespace default that nothing may touch
//
// and those in more.
func Run(t *testing.T, dir string, more ...Commands) {
	t.Helper()
	kubeconfig := os.Getenv("MESHLAB_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("MESHLAB_KUBECONFIG is not set: there is no lab; run make test")
	}
	cmds := Commands{
		"namespace": namespace,
		"lab":       lab,
		"restarts":  restarts,
		"rollout":   rollout,
		"waitfor":   waitfor,
		"gate":      gate,
		"lines":     lines,
		"printed":   printed,
		"decoy":     decoy,
	}
	for _, m := range more {
		maps.Copy(cmds, m)
	}
	number := 0
	testscript.RunT(serial{t}, testscript.Params{
		Dir: dir,
		Setup: func(e *testscript.Env) error {
			number++
			for _, name := range []string{"MESHLAB_STATE", "MESHLAB_KUBECONFIG"} {
				e.Setenv(name, os.Getenv(name))
			}
			e.Setenv("KUBECONFIG", kubeconfig)
			e.Setenv("KUBECTL_VERSION", cmp.Or(os.Getenv("KUBECTL_VERSION"), "v.*"))
			e.Setenv("LABDIR", os.Getenv("MESHLAB_STATE"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			e.Setenv("COLUMNS", "500") // scripts match whole rows; that tables fit a terminal is tested where they are laid out
			e.Defer(func() {
				if s, ok := e.T().(serial); ok {
					checkRecords(s.t, e.WorkDir)
				}
			})
			e.Setenv("NS", fmt.Sprintf("t%d-%d", os.Getpid(), number))
			return nil
		},
		Cmds: cmds,
	})
}

// serial runs the scripts one after the other: testscript calls Parallel on each.
type serial struct{ t *testing.T }

func (s serial) Skip(args ...any)  { s.t.Skip(args...) }
func (s serial) Fatal(args ...any) { s.t.Helper(); s.t.Fatal(args...) }
func (s serial) FailNow()          { s.t.FailNow() }
func (s serial) Parallel()         {}

// Verbose makes testscript keep the whole log, which Log reads.
func (s serial) Verbose() bool { return true }

// Log is given the log of a script at its end. Every document in it must be as its schema says. Without -v it shows only the last section.
func (s serial) Log(args ...any) {
	s.t.Helper()
	log := fmt.Sprint(args...)
	checkLog(s.t, log)
	if !testing.Verbose() {
		log = lastSection(log)
	}
	s.t.Log(log)
}

func (s serial) Run(name string, f func(testscript.T)) {
	s.t.Run(name, func(t *testing.T) { f(serial{t}) })
}

// run runs a program with the script's environment.
func run(ts *testscript.TestScript, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the scripts are ours
	for _, v := range []string{"PATH", "KUBECONFIG", "HOME", "XDG_STATE_HOME", "MESHLAB_STATE", "MESHLAB_KUBECONFIG", "NS"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	cmd.Dir = ts.MkAbs(".")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, errOut.String())
	}
	return out.String(), err
}

func namespace(ts *testscript.TestScript, neg bool, contexts []string) {
	if neg || len(contexts) == 0 {
		ts.Fatalf("usage: namespace CONTEXT...")
	}
	ns := ts.Getenv("NS")
	kubeconfig := os.Getenv("MESHLAB_KUBECONFIG")
	for _, c := range contexts {
		_, err := run(ts, "kubectl", "--kubeconfig", kubeconfig, "--context", c, "create", "namespace", ns)
		ts.Check(err)
		ts.Defer(func() {
			// The Services at once: the next script may drain the whole cluster while the namespace is still being deleted.
			for _, args := range [][]string{{"delete", "services", "--all", "-n", ns}, {"delete", "namespace", ns, "--wait=false"}} {
				if _, err := run(ts, "kubectl", append([]string{"--kubeconfig", kubeconfig, "--context", c}, args...)...); err != nil {
					ts.Logf("%v", err)
				}
			}
		})
	}
}

func lab(ts *testscript.TestScript, neg bool, args []string) {
	out, err := run(ts, "meshlab", args...)
	ts.Logf("%s", out)
	if (err != nil) != neg {
		ts.Fatalf("meshlab %s: %v", strings.Join(args, " "), err)
	}
}

func restarts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: restarts CLUSTER")
	}
	ts.Defer(func() {
		// Both are harmless where nothing was frozen or stopped.
		_, thawErr := run(ts, "meshlab", "thaw", args[0])
		if _, err := run(ts, "meshlab", "start", args[0]); err != nil {
			ts.Logf("%v (thaw: %v)", err, thawErr)
		}
	})
}

// printing cuts "-stdout RE" off the arguments of a command.
func printing(ts *testscript.TestScript, args []string) (want *regexp.Regexp, rest []string) {
	if len(args) < 2 || args[0] != "-stdout" {
		return nil, args
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	return re, args[2:]
}

func gate(ts *testscript.TestScript, neg bool, args []string) {
	want, args := printing(ts, args)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: gate [-stdout RE] COMMAND...")
	}
	run := func() error {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil && want != nil && !want.MatchString(ts.ReadFile("stdout")) {
			err = fmt.Errorf("stdout does not match %s", want)
		}
		return err
	}
	if err := run(); err != nil {
		ts.Logf("it is run once more: %v", err)
		ts.Check(run())
	}
}

func waitfor(ts *testscript.TestScript, neg bool, args []string) {
	want, args := printing(ts, args)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: waitfor [-stdout RE] COMMAND...")
	}
	deadline := time.Now().Add(watchdog)
	for {
		out, err := run(ts, args[0], args[1:]...)
		if err == nil && (want == nil || want.MatchString(out)) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it did not come true: %v\n%s", err, out)
		}
		time.Sleep(200 * time.Millisecond) // between two looks; what is waited for is the condition
	}
}

func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines FILE N")
	}
	if got := strings.Count(ts.ReadFile(args[0]), "\n"); fmt.Sprint(got) != args[1] {
		ts.Fatalf("%s has %d lines, want %s:\n%s", args[0], got, args[1], ts.ReadFile(args[0]))
	}
}
