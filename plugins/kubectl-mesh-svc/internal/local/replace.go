package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// replacement is a file and what it is to hold.
type replacement struct {
	name    string
	content []byte
}

// replaceFiles puts new files in the place of old ones, each at once. All are written beside the old ones before the first takes its
// place: a disk that is full or a directory that is read-only is met while nothing is changed.
func replaceFiles(list []replacement) (err error) {
	var ready []newFile
	defer func() {
		for _, f := range ready {
			err = errors.Join(err, os.Remove(f.temp))
		}
	}()
	for _, r := range list {
		if err := r.writable(); err != nil {
			return fmt.Errorf("%s cannot be written: %w; nothing was changed", r.name, cause(err))
		}
	}
	for _, r := range list {
		f, err := r.write()
		if err != nil {
			return fmt.Errorf("%s cannot be written: %w; nothing was changed", r.name, cause(err))
		}
		ready = append(ready, f)
	}
	for n, r := range list {
		if err := os.Rename(ready[0].temp, ready[0].target); err != nil {
			before := "nothing was changed"
			if n > 0 {
				before = "changed before it: " + namesOf(list[:n])
			}
			return fmt.Errorf("%s cannot be written: %w; %s", r.name, cause(err), before)
		}
		ready = ready[1:]
	}
	return nil
}

func namesOf(list []replacement) string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = r.name
	}
	return strings.Join(out, ", ")
}

// newFile waits beside the file whose place it takes.
type newFile struct{ temp, target string }

// writable refuses a file that its owner, or the system, keeps from being written: putting another one in its place would get around that.
func (r replacement) writable() error {
	target, err := filepath.EvalSymlinks(r.name)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil // to put a file in its place fails
	}
	if info.Mode().Perm()&0o222 == 0 { // root may write it anyway
		return errors.New("it is read-only; make it writable (chmod u+w) or leave it out")
	}
	f, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// write writes the new file with the mode of the old one; a link stays a link.
func (r replacement) write() (newFile, error) {
	target, err := filepath.EvalSymlinks(r.name)
	if err != nil {
		return newFile{}, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return newFile{}, err
	}
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return newFile{}, err
	}
	_, err = f.Write(r.content)
	if err = errors.Join(err, f.Chmod(info.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return newFile{}, errors.Join(err, os.Remove(f.Name()))
	}
	return newFile{f.Name(), target}, nil
}

// cause leaves out the file of an error: it is a temporary one, which nobody knows.
func cause(err error) error {
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
