package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
)

// screen is what a terminal shows.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// waitFor waits until the terminal shows a text so often.
func (s *screen) waitFor(t *testing.T, text string, times int) {
	t.Helper()
	for end := time.Now().Add(4 * time.Minute); strings.Count(s.String(), text) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q is not shown %d times: %q", text, times, s.String())
		}
	}
}

// terminal returns an environment at a terminal, the side of the person who types, and what the person sees. It is never closed: a prompt that was
// interrupted still reads from it, and would set the echo of whatever gets its file descriptor.
func terminal(t *testing.T) (*kernel.Env, *os.File, *screen) {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Skip(err)
	}
	keepOpen(person, program)
	shown := &screen{}
	go func() { _, _ = io.Copy(shown, person) }()
	return kernel.New(genericiooptions.IOStreams{In: program, Out: program, ErrOut: program}), person, shown
}

// open are the files that no finalizer may close.
var (
	openMu sync.Mutex
	open   []*os.File
)

func keepOpen(files ...*os.File) {
	openMu.Lock()
	defer openMu.Unlock()
	open = append(open, files...)
}

// silent waits until the terminal no longer shows what is typed.
func silent(t *testing.T, f io.Reader) {
	t.Helper()
	file, ok := f.(*os.File)
	if !ok {
		t.Fatal("not a terminal")
	}
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if echo, err := echoes(int(file.Fd())); err != nil || !echo {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the terminal still shows what is typed")
		}
	}
}

func TestPassphraseIsTypedTwiceAndNotShown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typed []string
		twice bool
		want  string // the passphrase, or the error
	}{
		"the same twice": {[]string{"correct horse battery", "correct horse battery"}, true, "correct horse battery"},
		"different":      {[]string{"correct horse battery", "correct horse batterie"}, true, "the two passphrases are different"},
		"too short":      {[]string{"short"}, true, "at least 12"},
		"empty":          {[]string{""}, true, "the passphrase is empty"},
		"once, to open":  {[]string{"short"}, false, "short"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, person, shown := terminal(t)
			type answer struct {
				text string
				err  error
			}
			answers := make(chan answer, 1)
			go func() {
				text, err := secret{Env: e, twice: c.twice, what: "/tmp/cas.age"}.read(t.Context())
				answers <- answer{text, err}
			}()
			for n, line := range c.typed {
				if n == 0 {
					shown.waitFor(t, "Passphrase for /tmp/cas.age: ", 1)
				} else {
					shown.waitFor(t, "The same again: ", 1)
				}
				silent(t, e.In)
				if _, err := person.WriteString(line + "\n"); err != nil {
					t.Fatal(err)
				}
			}
			got := <-answers
			if got.text != c.want && (got.err == nil || !strings.Contains(got.err.Error(), c.want)) {
				t.Errorf("%q, %v, want %q", got.text, got.err, c.want)
			}
			for _, line := range c.typed {
				if line != "" && strings.Contains(shown.String(), line) {
					t.Errorf("the passphrase is shown: %q", shown.String())
				}
			}
		})
	}
}

// TestInterruptedPassphrase: the terminal shows again what is typed.
func TestInterruptedPassphrase(t *testing.T) {
	t.Parallel()
	e, _, shown := terminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := secret{Env: e, what: "cas.age"}.read(ctx)
		done <- err
	}()
	shown.waitFor(t, "Passphrase", 1)
	silent(t, e.In)
	interrupt()
	var interrupted *confirm.InterruptedError
	if err := <-done; !errors.As(err, &interrupted) {
		t.Errorf("%v", err)
	}
	file, ok := e.In.(*os.File)
	if !ok {
		t.Fatal("not a terminal")
	}
	if echo, err := echoes(int(file.Fd())); err != nil || !echo {
		t.Errorf("the terminal shows nothing any more (%v)", err)
	}
	if !term.IsTerminal(int(file.Fd())) {
		t.Error("not a terminal")
	}
}

// TestKeysOnATerminal: init shows no key on a terminal unless it is told to.
func TestKeysOnATerminal(t *testing.T) {
	t.Parallel()
	e, _, shown := terminal(t)
	run := func(args ...string) error {
		root := New(e)
		root.SetArgs(append([]string{"init", "--print-values"}, args...))
		return root.ExecuteContext(t.Context())
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), "stdout is a terminal") || strings.Contains(shown.String(), "key:") {
		t.Errorf("%v, %q", err, shown.String())
	}
	if err := run("--show-key"); err != nil {
		t.Error(err)
	}
	shown.waitFor(t, "    key: ", 1)
}

// TestDisk: a file is complete or not there, private, and never replaces another one.
func TestDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "cas.age")
	if err := (disk{}).Free(path); err != nil {
		t.Fatal(err)
	}
	if err := (disk{}).Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := (disk{}).Free(path); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("%v", err)
	}
	if err := (disk{}).Create(path, []byte("two")); !errors.Is(err, os.ErrExist) {
		t.Errorf("%v", err)
	}
	if got, err := (disk{}).Read(path); err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	link := filepath.Join(dir, "link.age")
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join((disk{}).Free(link), (disk{}).Create(link, []byte("x"))); err == nil {
		t.Error("a symbolic link was followed")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o666, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := (disk{}).Read(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

// TestPassphraseFiles: one line, whatever ends it.
func TestPassphraseFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for content, want := range map[string]string{
		"correct horse": "correct horse", "correct horse\n": "correct horse", "correct horse\r\n": "correct horse", " correct horse ": " correct horse ",
		"": "is empty", "\n": "is empty", "one\ntwo\n": "more than one line",
	} {
		file := filepath.Join(dir, "p")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{file, "-"} {
			e := kernel.New(genericiooptions.IOStreams{In: strings.NewReader(content), Out: io.Discard, ErrOut: io.Discard})
			got, err := secret{Env: e, file: from}.read(t.Context())
			if got != want && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q from %s: %q, %v, want %q", content, from, got, err, want)
			}
		}
	}
	if err := os.Chmod(filepath.Join(dir, "p"), 0o644); err != nil {
		t.Fatal(err)
	}
	var warned bytes.Buffer
	e := kernel.New(genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: &warned})
	if _, err := (secret{Env: e, file: filepath.Join(dir, "p")}).readFile(); err != nil || !strings.Contains(warned.String(), "can read") {
		t.Errorf("%v, %q", err, warned.String())
	}
}
