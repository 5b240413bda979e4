// Package compiler runs clang for Cilium's agents, and keeps what it makes. An agent compiles its datapath whenever it starts, although the
// objects depend on the node and on the settings only: an agent that is restarted compiles the same again. An object is found by what the
// preprocessor makes of its source, by the arguments and by the compiler, so that it is what clang would make. It knows nothing of Cilium.
package compiler

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The variables that tell the program what a Cache is.
const (
	ClangVariable = "MESHLAB_CLANG"
	DirVariable   = "MESHLAB_CLANG_OBJECTS"
)

// Cache is a directory with objects that several agents may use at the same time.
type Cache struct {
	// Clang is the compiler, an absolute name.
	Clang string
	// Dir is an existing directory.
	Dir string
}

// Compile does what the compiler does with these arguments. The exit code is the compiler's. The error says that it cannot be run, or that its
// output cannot be written. Without a directory that can be used, nothing is kept.
func (c Cache) Compile(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, err error) {
	preprocess, ok := preprocessing(args)
	if !ok {
		return c.run(ctx, args, stdout, stderr)
	}
	var source bytes.Buffer
	if code, err := c.run(ctx, preprocess, &source, io.Discard); err != nil || code != 0 {
		return c.run(ctx, args, stdout, stderr) // it says itself what is wrong
	}
	key, err := c.key(args, source.Bytes())
	if err != nil {
		return c.run(ctx, args, stdout, stderr)
	}
	file := filepath.Join(c.Dir, key+".o")
	if copied, err := copyTo(stdout, file); copied || err != nil {
		return 0, err
	}
	// Agents that start together compile the same once.
	unlock, err := lock(filepath.Join(c.Dir, key+".lock"))
	if err != nil {
		return c.run(ctx, args, stdout, stderr)
	}
	defer unlock()
	if copied, err := copyTo(stdout, file); copied || err != nil {
		return 0, err
	}
	var object bytes.Buffer
	if code, err := c.run(ctx, args, &object, stderr); err != nil || code != 0 {
		return code, err
	}
	_ = write(file, object.Bytes()) // else it is compiled again the next time
	_, err = stdout.Write(object.Bytes())
	return 0, err
}

// preprocessing turns the arguments that compile one file to standard output into those that preprocess it; ok is false for all others.
func preprocessing(args []string) (_ []string, ok bool) {
	compile := slices.Index(args, "-c")
	output := slices.Index(args, "-o")
	if compile < 0 || output < 0 || output+1 == len(args) || args[output+1] != "-" {
		return nil, false
	}
	args = slices.Clone(args)
	args[compile] = "-E"
	return args, true
}

// key is a name for an object: a hash of all that it is made from. Debug information names the working directory.
func (c Cache) key(args []string, source []byte) (string, error) {
	clang, err := os.Stat(c.Clang)
	if err != nil {
		return "", err
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %d %d\n%q\n%q\n", c.Clang, clang.Size(), clang.ModTime().UnixNano(), dir, args)
	_, _ = h.Write(source)
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (c Cache) run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int, err error) {
	cmd := exec.CommandContext(ctx, c.Clang, args...) //nolint:gosec // the compiler of this machine
	cmd.Args[0] = filepath.Base(c.Clang)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	var ended *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ended) {
		return max(1, ended.ExitCode()), nil // a signal is -1
	} else if err != nil {
		return 0, err
	}
	return 0, nil
}

// copyTo copies a file if there is one.
func copyTo(w io.Writer, file string) (copied bool, err error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = w.Write(data)
	return true, err
}

// write makes a file at once, so that a reader never sees half of it.
func write(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), strings.TrimSuffix(filepath.Base(file), ".o")+"-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
