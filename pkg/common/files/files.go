// Package files replaces files on the user's machine: at once, so that nobody sees a part of one, and only where a regular file is, or none.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
)

// Target returns the file that is replaced for a path: a link stays a link, and what it leads to is replaced. The file does not exist yet if info
// is nil. The error says why it must not be replaced: it is a device, a pipe or a directory, or its owner or the system keeps it from being
// written. A new file in its place would get around that.
func Target(path string) (target string, info fs.FileInfo, err error) {
	target, err = filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(path)
	}
	if err != nil {
		return "", nil, err
	}
	if info, err = os.Lstat(target); err != nil {
		return "", nil, err
	}
	switch {
	case info.IsDir():
		return "", nil, errors.New("it is a directory; name a file in it")
	case !info.Mode().IsRegular():
		return "", nil, errors.New("it is not a regular file")
	case info.Mode().Perm()&0o222 == 0: // root may write it anyway
		return "", nil, fmt.Errorf("it is read-only; make it writable (%s) or leave it out", makeWritable(runtime.GOOS))
	}
	f, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return "", nil, err
	}
	return target, info, f.Close()
}

// makeWritable returns the command that makes a file writable on a platform.
func makeWritable(goos string) string {
	if goos == "windows" {
		return "attrib -R"
	}
	return "chmod u+w"
}

// missing is Target for a file that does not exist.
func missing(path string) (string, fs.FileInfo, error) {
	if _, err := os.Lstat(path); err == nil {
		return "", nil, errors.New("it is a link to nothing")
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("the directory %s does not exist", filepath.Dir(path))
	case err != nil:
		return "", nil, err
	}
	if info, err := os.Stat(dir); err != nil {
		return "", nil, err
	} else if !info.IsDir() {
		return "", nil, fmt.Errorf("%s is not a directory", dir)
	}
	return filepath.Join(dir, filepath.Base(path)), nil, nil
}

// New is a file that is written, and waits beside the one whose place it takes.
type New struct{ temporary, target string }

// Write writes a new file beside the one at a path. It has the mode of the old file, or the one that the umask leaves if there is none.
func Write(path string, content []byte) (*New, error) {
	target, old, err := Target(path)
	if err != nil {
		return nil, err
	}
	mode := fs.FileMode(0o666) // less the umask
	if old != nil {
		mode = 0o600
	}
	f, err := create(target, mode)
	if err != nil {
		return nil, err
	}
	if old != nil {
		err = f.Chmod(old.Mode().Perm())
	}
	if err == nil {
		_, err = f.Write(content)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	return &New{f.Name(), target}, nil
}

// create creates a file beside another one, under a name that nobody uses. os.CreateTemp would ignore the umask.
func create(target string, mode fs.FileMode) (*os.File, error) {
	for attempt := 0; ; attempt++ {
		name := filepath.Join(filepath.Dir(target), fmt.Sprintf(".%s.%08x", filepath.Base(target), rand.Uint32())) //nolint:gosec // O_EXCL decides, not chance
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) || attempt == 100 {
			return f, err
		}
	}
}

// Place puts the file in its place.
func (n *New) Place() error { return os.Rename(n.temporary, n.target) }

// Discard removes a file that is not to take its place.
func (n *New) Discard() error { return os.Remove(n.temporary) }

// Cause leaves out the file of an error: it is a temporary one, which nobody knows.
func Cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
