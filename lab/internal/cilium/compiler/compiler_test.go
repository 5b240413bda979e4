package compiler

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/program"
)

// fakeClang is a compiler that notes down its runs, preprocesses by copying, and compiles by adding a line.
const fakeClang = `#!/bin/sh
echo "$*" >>"$(dirname "$0")/runs"
for argument in "$@"; do
	case $argument in
	--version) echo 'clang version 19.1.7'; exit 0 ;;
	-E) mode=preprocess ;;
	-c) mode=compile ;;
	*.c) source=$argument ;;
	esac
done
grep -q broken "$source" && { echo 'it does not compile' >&2; exit 3; }
[ "$mode" = compile ] && echo object
cat "$source"
`

func newCache(t *testing.T) Cache {
	t.Helper()
	dir := t.TempDir()
	c := Cache{Clang: filepath.Join(dir, "clang"), Dir: filepath.Join(dir, "objects")}
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program.Write(t, c.Clang, fakeClang)
	return c
}

// compiles is how often the compiler has compiled.
func (c Cache) compiles(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(filepath.Dir(c.Clang), "runs"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), "-c ")
}

func source(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "prog.c")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCompile(t *testing.T) {
	t.Parallel()
	c := newCache(t)
	file := source(t, "one\n")
	steps := []struct {
		name, text string
		flag       string
		want       int // compilations in all
	}{
		{"the first time", "one\n", "-O2", 1},
		{"again", "one\n", "-O2", 1},
		{"another source", "two\n", "-O2", 2},
		{"other arguments", "two\n", "-O1", 3},
		{"the first one again", "one\n", "-O2", 3},
	}
	for _, s := range steps {
		if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, messages bytes.Buffer
		code, err := c.Compile(t.Context(), []string{s.flag, "-c", file, "-o", "-"}, &out, &messages)
		if err != nil || code != 0 || out.String() != "object\n"+s.text || messages.Len() > 0 {
			t.Errorf("%s: code %d, error %v, output %q, messages %q", s.name, code, err, &out, &messages)
		}
		if n := c.compiles(t); n != s.want {
			t.Errorf("%s: compiled %d times in all, want %d", s.name, n, s.want)
		}
	}
	// Another compiler makes other objects.
	program.Write(t, c.Clang, fakeClang+"\n")
	var out bytes.Buffer
	if _, err := c.Compile(t.Context(), []string{"-O2", "-c", file, "-o", "-"}, &out, &out); err != nil {
		t.Fatal(err)
	}
	if n := c.compiles(t); n != 4 {
		t.Errorf("another compiler: compiled %d times in all, want 4", n)
	}
}

func TestCompileOnceForAll(t *testing.T) {
	t.Parallel()
	c := newCache(t)
	file := source(t, "one\n")
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			var out bytes.Buffer
			if code, err := c.Compile(t.Context(), []string{"-c", file, "-o", "-"}, &out, &out); err != nil || code != 0 || out.String() != "object\none\n" {
				t.Errorf("code %d, error %v, output %q", code, err, &out)
			}
		})
	}
	all.Wait()
	if n := c.compiles(t); n != 1 {
		t.Errorf("compiled %d times, want once", n)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	t.Parallel()
	file, broken := source(t, "one\n"), source(t, "broken\n")
	for name, tc := range map[string]struct {
		args     []string
		code     int
		out, err string
	}{
		"the version":           {[]string{"--version"}, 0, "clang version 19.1.7\n", ""},
		"the preprocessor":      {[]string{"-E", file, "-o", "-"}, 0, "one\n", ""},
		"output to a file":      {[]string{"-c", file, "-o", "file.o"}, 0, "object\none\n", ""},
		"what does not compile": {[]string{"-c", broken, "-o", "-"}, 3, "", "it does not compile\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCache(t)
			var out, messages bytes.Buffer
			code, err := c.Compile(t.Context(), tc.args, &out, &messages)
			if err != nil || code != tc.code || out.String() != tc.out || messages.String() != tc.err {
				t.Errorf("code %d, error %v, output %q, messages %q", code, err, &out, &messages)
			}
			if left, err := os.ReadDir(c.Dir); err != nil || len(left) > 0 {
				t.Errorf("kept %v, error %v", left, err)
			}
		})
	}
}

func TestNoDirectory(t *testing.T) {
	t.Parallel()
	c := newCache(t)
	c.Dir = "/nonexistent"
	var out, messages bytes.Buffer
	code, err := c.Compile(t.Context(), []string{"-c", source(t, "one\n"), "-o", "-"}, &out, &messages)
	if err != nil || code != 0 || out.String() != "object\none\n" || messages.Len() > 0 {
		t.Errorf("code %d, error %v, output %q, messages %q", code, err, &out, &messages)
	}
}

func TestNoCompiler(t *testing.T) {
	t.Parallel()
	c := newCache(t)
	c.Clang = "/nonexistent"
	var out bytes.Buffer
	if _, err := c.Compile(t.Context(), []string{"-c", source(t, "one\n"), "-o", "-"}, &out, &out); err == nil {
		t.Error("no error")
	}
}
