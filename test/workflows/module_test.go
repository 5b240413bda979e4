package workflows

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/zip"
)

// tracked is a file of the repository, for the check of a module's files.
type tracked string

func (f tracked) Path() string                 { return string(f) }
func (f tracked) Lstat() (os.FileInfo, error)  { return os.Lstat(filepath.Join(repository, string(f))) }
func (f tracked) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(repository, string(f))) }

// go install and the module proxy refuse a version with a file whose name Windows does not allow, such as nul, or that differs from another one only in case.
func TestModule(t *testing.T) {
	t.Parallel()
	list, err := exec.CommandContext(t.Context(), "git", "-C", repository, "ls-files", "-z").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := []zip.File{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		files = append(files, tracked(name))
	}
	found, err := zip.CheckFiles(files)
	if err != nil || len(found.Valid) < 100 {
		t.Errorf("%d files are valid: %v", len(found.Valid), err)
	}
}
