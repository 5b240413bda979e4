package images

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// nameService are libraries that glibc before 2.34 loads by itself to resolve names; later ones have them built in.
var nameService = []string{"libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"}

// Closure lists the files that dynamically linked programs need to run: the loader and all
// libraries, each at the place where the loader looks for it, sorted. Static programs need none.
func Closure(programs ...string) ([]string, error) {
	c := closure{seen: map[string]bool{}, names: map[string]bool{}}
	for _, p := range programs {
		if err := c.add(p); err != nil {
			return nil, fmt.Errorf("libraries of %s: %w", p, err)
		}
	}
	for _, p := range programs {
		c.seen[p] = false
	}
	var out []string
	for f, wanted := range c.seen {
		if wanted {
			out = append(out, f)
		}
	}
	slices.Sort(out)
	return out, nil
}

type closure struct {
	seen  map[string]bool // files
	names map[string]bool // library names that were found
	dirs  []string
}

// add follows one file's needs.
func (c *closure) add(file string) error {
	if _, ok := c.seen[file]; ok {
		return nil
	}
	c.seen[file] = true
	f, err := elf.Open(file)
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) || errors.Is(err, io.EOF) { // EOF: shorter than any program
			return nil // a script: its interpreter is not followed
		}
		return err
	}
	defer func() { _ = f.Close() }()
	loader, err := interpreter(f)
	if err != nil {
		return err
	}
	if loader != "" {
		c.seen[loader] = true
		if c.dirs == nil {
			c.dirs = libraryDirs(loader)
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	if slices.Contains(needed, "libc.so.6") {
		needed = append(needed, nameService...)
	}
	own, err := f.DynString(elf.DT_RUNPATH)
	if err != nil {
		return err
	}
	for _, name := range needed {
		if c.names[name] {
			continue
		}
		lib := findLibrary(name, append(runPath(own, file), c.dirs...))
		if lib == "" {
			if slices.Contains(nameService, name) {
				continue
			}
			return fmt.Errorf("%s not found", name)
		}
		c.names[name] = true
		if err := c.add(lib); err != nil {
			return err
		}
	}
	return nil
}

// interpreter reads the loader's name; a static file has none.
func interpreter(f *elf.File) (string, error) {
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		data := make([]byte, p.Filesz)
		if _, err := p.ReadAt(data, 0); err != nil {
			return "", err
		}
		return strings.TrimRight(string(data), "\x00"), nil
	}
	return "", nil
}

// libraryDirs are the directories in which a loader looks by default: of Debian's multiarch
// kind, named after where the loader really stands, and the plain ones.
func libraryDirs(loader string) []string {
	dirs := []string{"/lib64", "/usr/lib64", "/lib", "/usr/lib"}
	if target, err := filepath.EvalSymlinks(loader); err == nil {
		triple := filepath.Base(filepath.Dir(target))
		dirs = append([]string{"/lib/" + triple, "/usr/lib/" + triple}, dirs...)
	}
	return dirs
}

// runPath expands a file's own search path.
func runPath(entries []string, file string) []string {
	var out []string
	for _, e := range entries {
		for d := range strings.SplitSeq(e, ":") {
			out = append(out, strings.NewReplacer("$ORIGIN", filepath.Dir(file), "${ORIGIN}", filepath.Dir(file)).Replace(d))
		}
	}
	return out
}

func findLibrary(name string, dirs []string) string {
	for _, d := range dirs {
		file := filepath.Join(d, name)
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() {
			return file
		}
	}
	return ""
}
