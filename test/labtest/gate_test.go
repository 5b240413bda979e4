package labtest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// attempt is a testscript.T that only notes whether a script failed.
type attempt struct{ failed *bool }

var errFailed = errors.New("failed")

func (a attempt) Skip(...any)   {}
func (a attempt) Fatal(...any)  { a.FailNow() }
func (a attempt) FailNow()      { *a.failed = true; panic(errFailed) }
func (a attempt) Parallel()     {}
func (a attempt) Verbose() bool { return false }
func (a attempt) Log(...any)    {}

func (a attempt) Run(_ string, f func(testscript.T)) {
	defer func() {
		if r := recover(); r != nil && r != any(errFailed) {
			panic(r)
		}
	}()
	f(a)
}

// TestGate: a command that fails once counts by its second run, and one that fails twice fails the script.
func TestGate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		fails  bool
	}{
		"at once":               {"gate sh after.sh 0\nstdout '^done$'\nlines runs 1\n", false},
		"the second time":       {"gate sh after.sh 1\nstdout '^done$'\nlines runs 2\n", false},
		"not the third time":    {"gate sh after.sh 2\n", true},
		"it prints it then":     {"gate -stdout '(?m)^done$' sh -c 'sh after.sh 1; true'\nlines runs 2\n", false},
		"it never prints it":    {"gate -stdout '(?m)^done$' sh -c 'sh after.sh 2; true'\n", true},
		"a check of its output": {"gate sh after.sh 1\nstdout '^failed$'\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, failed := t.TempDir(), false
			const after = "-- after.sh --\necho run >>runs\nif [ $(wc -l <runs) -gt $1 ]; then echo done; else echo failed; exit 1; fi\n"
			if err := os.WriteFile(filepath.Join(dir, "script.txtar"), []byte(c.script+after), 0o600); err != nil {
				t.Fatal(err)
			}
			testscript.RunT(attempt{&failed}, testscript.Params{Dir: dir, Cmds: Commands{"gate": gate, "lines": lines}})
			if failed != c.fails {
				t.Errorf("failed: %v", failed)
			}
		})
	}
}
