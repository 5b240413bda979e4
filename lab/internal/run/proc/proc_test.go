package proc

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const tail = " 1 10 10 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 1 18446744073709551615"
	for name, tc := range map[string]struct {
		line  string
		state byte
		start uint64
		fails bool
	}{
		"plain":              {line: "10 (sleep) S" + tail, state: 'S', start: 4242},
		"brackets and space": {line: "10 (a) R (b) T" + tail, state: 'T', start: 4242},
		"short":              {line: "10 (sleep) S 1", fails: true},
		"empty":              {line: "", fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStat(tc.line)
			if (err != nil) != tc.fails {
				t.Fatalf("error %v, want one: %v", err, tc.fails)
			}
			if got.state != tc.state || got.start != tc.start {
				t.Errorf("got state %c and start %d", got.state, got.start)
			}
		})
	}
}

func spawnSleep(t *testing.T, marker string) (*Child, string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "pid")
	// The shell waits for its child, so that the marker stays in its command line. Until the child is sleep, it has the same command line.
	const script = `sleep 600 & until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done; : >ready; wait`
	child, err := Spawn(Command{Path: "/bin/sh", Args: []string{"-c", script, marker}, Dir: dir, Log: filepath.Join(dir, "log"), PIDFile: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The session's id is the shell's pid: this ends the sleep as well.
		_ = syscall.Kill(-child.PID, syscall.SIGKILL)
		<-child.Ended
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // between two looks
		if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
			return child, file
		}
		if time.Now().After(deadline) {
			t.Fatal("sleep does not start")
		}
	}
}

func TestLifeOfAProcess(t *testing.T) {
	t.Parallel()
	child, file := spawnSleep(t, "life")
	record, ok, err := Read(file)
	if err != nil || !ok || record != child.Record {
		t.Fatalf("record in the file: %v, %v, %v; want %v", record, ok, err, child.Record)
	}
	if err := record.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, record, Frozen)
	if err := record.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waitFor(t, record, Running)
	if err := record.End(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := record.Condition(); got != Gone {
		t.Errorf("after its end it is %s", got)
	}
	if err := record.Signal(syscall.SIGKILL); err != nil {
		t.Errorf("a signal to a process that is gone: %v", err)
	}
}

func TestEndOfAFrozenProcess(t *testing.T) {
	t.Parallel()
	child, _ := spawnSleep(t, "frozen")
	if err := child.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, child.Record, Frozen)
	if err := child.End(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := child.Condition(); got != Gone {
		t.Errorf("after its end it is %s", got)
	}
}

// A signal takes effect soon, but not at once.
func waitFor(t *testing.T, r Record, want Condition) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for r.Condition() != want {
		if ctx.Err() != nil {
			t.Fatalf("process is %s, want %s", r.Condition(), want)
		}
	}
}

func TestStrangersAreNotOurs(t *testing.T) {
	t.Parallel()
	self, err := recordOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Record){
		"the pid was given to another": func(r *Record) { r.Start++ },
		"the machine was restarted":    func(r *Record) { r.Boot = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stranger := self
			change(&stranger)
			if got := stranger.Condition(); got != Gone {
				t.Errorf("it is taken for ours: %s", got)
			}
			// Would end this test.
			if err := stranger.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	child, _ := spawnSleep(t, "--state=/some/lab")
	for name, tc := range map[string]struct {
		arg, program string
		want         int
	}{
		"ours":            {"--state=/some/lab", "sh", 1},
		"another lab":     {"--state=/some", "sh", 0},
		"another program": {"--state=/some/lab", "meshlab-net", 0},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := Find(tc.arg, tc.program)
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != tc.want || tc.want == 1 && found[0].PID != child.PID {
				t.Errorf("found %v, want %d", found, tc.want)
			}
		})
	}
}

func TestReadOfARecordThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	half := filepath.Join(dir, "half")
	if err := os.WriteFile(half, []byte(`{"pid":`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"no file": filepath.Join(dir, "none"), "half a file": half} {
		if _, ok, err := Read(file); ok || err != nil {
			t.Errorf("%s: ok %v, error %v", name, ok, err)
		}
	}
}
