package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// disk is the machine's file system.
type disk struct{}

// The modes of backup files. Nobody but the owner may read one.
const (
	modePrivate = 0o600
	modeOthers  = 0o077
)

// Free returns an error if a new file cannot be made at the path.
func (disk) Free(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return fmt.Errorf("%s exists already, and a backup never replaces a file; choose another name", path)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	dir, err := os.Stat(filepath.Dir(path))
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be made: %w", path, err)
	case !dir.IsDir():
		return fmt.Errorf("%s cannot be made: %s is not a directory", path, filepath.Dir(path))
	}
	return nil
}

// Create writes a new file: first under a temporary name, so that nobody ever sees a part of it, then under its own, which is reserved before, so that it
// replaces no file of somebody else.
func (disk) Create(path string, data []byte) error {
	temporary, err := writeTemporary(filepath.Dir(path), data)
	if err != nil {
		return err
	}
	reserved, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, modePrivate)
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := errors.Join(reserved.Close(), os.Rename(temporary, path)); err != nil {
		return errors.Join(err, os.Remove(temporary), os.Remove(path))
	}
	return syncDirectory(filepath.Dir(path))
}

// writeTemporary writes a new file that only its owner may read, and returns its name when it is on the disk.
func writeTemporary(dir string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(dir, ".kubectl-mesh-ca-*.part") // with mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// windows has neither modes of files nor directories that can be synced.
const windows = "windows"

// syncDirectory makes a new name last.
func syncDirectory(path string) error {
	if runtime.GOOS == windows {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// maxRead bounds what is read of a file: more than any backup, passphrase or identity file.
const maxRead = 32 << 20

// Read reads a backup file.
func (disk) Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory", path)
	case othersMayRead(runtime.GOOS, info.Mode()):
		return nil, fmt.Errorf("users other than its owner can read or write %s (mode %#o), so its content may be known or changed; run: chmod 600 %s", path, info.Mode().Perm(), commandline.Quote(path))
	}
	return io.ReadAll(io.LimitReader(f, maxRead))
}

// othersMayRead reports whether a regular file is open to others than its owner. On Windows, Go makes up the mode from the read-only attribute.
func othersMayRead(goos string, mode os.FileMode) bool {
	return goos != windows && mode.IsRegular() && mode.Perm()&modeOthers != 0
}
