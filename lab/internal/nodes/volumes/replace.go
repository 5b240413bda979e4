package volumes

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
)

// replace makes dir contain exactly the files, all at once: they are written into a new directory, to which the link
// ..data is then renamed. Each file is a link below ..data. Programs that watch a volume know this layout from kubelets.
func replace(dir string, files map[string]file) error {
	current, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if current != "" && same(filepath.Join(dir, current), files) {
		return relink(dir, files) // an earlier attempt may have ended before it
	}
	next, err := os.MkdirTemp(dir, "..")
	if err != nil {
		return err
	}
	if err := publish(dir, next, files); err != nil {
		return errors.Join(err, os.RemoveAll(next)) // it is tried again every few seconds, and must not fill the disk
	}
	if err := relink(dir, files); err != nil || current == "" {
		return err
	}
	return os.RemoveAll(filepath.Join(dir, current))
}

// publish writes the files into next and makes it the volume's content.
func publish(dir, next string, files map[string]file) error {
	if err := os.Chmod(next, 0o755); err != nil { //nolint:gosec // as a kubelet's; the files have modes of their own
		return err
	}
	for name, f := range files {
		path := filepath.Join(next, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.content, f.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil { // whatever the umask is
			return err
		}
	}
	link := filepath.Join(dir, newDataLink)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // of an attempt that was interrupted
	}
	if err := os.Symlink(filepath.Base(next), link); err != nil {
		return err
	}
	return os.Rename(link, filepath.Join(dir, dataLink))
}

// relink makes the links of the files, and removes those of files that are gone.
func relink(dir string, files map[string]file) error {
	wanted := map[string]bool{}
	for name := range files {
		first, _, _ := strings.Cut(filepath.ToSlash(name), "/")
		wanted[first] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		switch name := entry.Name(); {
		case strings.HasPrefix(name, ".."):
		case wanted[name]:
			delete(wanted, name)
		default:
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether a directory contains exactly the files.
func same(dir string, files map[string]file) bool {
	count := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		count++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f, ok := files[name]
		content, err := os.ReadFile(path) //nolint:gosec // in a directory of the lab
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !ok || !bytes.Equal(content, f.content) || info.Mode().Perm() != f.mode.Perm() {
			return errDiffers
		}
		return nil
	})
	return err == nil && count == len(files)
}

var errDiffers = errors.New("differs")
