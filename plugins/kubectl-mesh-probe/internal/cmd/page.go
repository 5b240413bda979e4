package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/files"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view/page"
)

// checkPage refuses a file of --report that must not be written, before anything is sent. Only an earlier page is replaced, so that a name that was
// mistyped costs no other file. record is the file of --record, which does not exist yet; it may be empty.
func checkPage(path, record string) error {
	if path == "" {
		return nil
	}
	if record != "" && (sameFile(path, record) || sameFile(path, record+partialSuffix)) {
		return fmt.Errorf("--report %s is the file of --record; choose another name", path)
	}
	target, old, err := files.Target(path)
	switch {
	case err != nil:
		return fmt.Errorf("--report %s: %w", path, files.Cause(err))
	case old == nil || old.Size() == 0:
		return nil
	}
	f, err := os.Open(target)
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	isPage, err := page.Is(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	if !isPage {
		return fmt.Errorf("--report %s: the file exists and is not a page of mesh-probe; choose another name", path)
	}
	return nil
}

// sameFile reports whether two names are the same in the same directory. The files need not exist.
func sameFile(a, b string) bool {
	x, errA := os.Stat(filepath.Dir(a))
	y, errB := os.Stat(filepath.Dir(b))
	return errA == nil && errB == nil && os.SameFile(x, y) && filepath.Base(a) == filepath.Base(b)
}

// writePage writes the page of a report. It replaces an earlier page when the new one is complete.
func writePage(path string, doc v1alpha1.ProbeReport) error {
	if path == "" {
		return nil
	}
	var html bytes.Buffer
	if err := page.Render(&html, doc); err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	if err := checkPage(path, ""); err != nil { // another program may have written there meanwhile, or the record
		return err
	}
	f, err := files.Write(path, html.Bytes())
	if err != nil {
		return fmt.Errorf("--report %s: %w", path, files.Cause(err))
	}
	if err := f.Place(); err != nil {
		return fmt.Errorf("--report %s: %w", path, errors.Join(files.Cause(err), f.Discard()))
	}
	return nil
}
