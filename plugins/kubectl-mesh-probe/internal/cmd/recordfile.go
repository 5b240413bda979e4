package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/record"
)

// recordFile is a record that is being written. Its name ends with .partial until it is complete.
type recordFile struct {
	*record.Writer
	path string
	file *os.File
	over chan struct{}
	done sync.WaitGroup
}

const (
	// partialSuffix is the end of the name of a record that is not complete.
	partialSuffix = ".partial"
	// flushEvery is how much of a run a crash of the plugin may take from the record.
	flushEvery = time.Second
)

// createRecord creates the file of a record, which only its owner may read. It replaces no file.
func createRecord(path string) (*recordFile, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("--record %s: the file exists; choose another name", path)
	}
	file, err := os.OpenFile(path+partialSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("--record %s: %s exists: it is the record of a run that was cut short or is still under way; move it or choose another name", path, path+partialSuffix)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--record %s: the directory %s does not exist", path, filepath.Dir(path))
	case err != nil:
		return nil, fmt.Errorf("--record: %w", err)
	}
	f := &recordFile{Writer: record.NewWriter(file), path: path, file: file, over: make(chan struct{})}
	f.done.Go(f.flushing)
	return f, nil
}

// flushing flushes until the record ends.
func (f *recordFile) flushing() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.Flush()
		case <-f.over:
			return
		}
	}
}

// finish writes the trailer and gives the file its name. If that fails, what could be written is in the partial file.
func (f *recordFile) finish(doc v1alpha1.ProbeReport) error {
	close(f.over)
	f.done.Wait()
	err := f.Close(doc)
	if err == nil {
		err = f.file.Sync()
	}
	err = errors.Join(err, f.file.Close())
	if err == nil {
		err = f.rename()
	}
	if err != nil {
		return fmt.Errorf("--record %s: the record is not complete: %w; %s has what was written", f.path, err, f.path+partialSuffix)
	}
	return nil
}

// rename gives the file its name, which it reserves before: a file that another program has created meanwhile is not replaced.
func (f *recordFile) rename() error {
	reserved, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errors.New("another file with this name was created meanwhile")
	case err != nil:
		return err
	}
	if err := errors.Join(reserved.Close(), os.Rename(f.path+partialSuffix, f.path)); err != nil {
		return errors.Join(err, os.Remove(f.path))
	}
	return nil
}

// abandon ends the record of a run that has no report. Without a single request there is nothing to keep.
func (f *recordFile) abandon() {
	close(f.over)
	f.done.Wait()
	f.Flush()
	_ = f.file.Close()
	if f.Requests() == 0 {
		_ = os.Remove(f.path + partialSuffix)
	}
}

// writeRecord writes a whole record.
func writeRecord(path string, rec *record.Record) error {
	f, err := createRecord(path)
	if err != nil {
		return err
	}
	f.Begin(rec.Report, rec.Checks)
	for r := range rec.Log.All() {
		f.Request(r)
	}
	return f.finish(rec.Report)
}

// readRecord reads a record. If cut is true, it accepts one that was cut short.
func readRecord(path string, cut bool) (*record.Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	rec, err := record.Read(f, cut)
	switch {
	case errors.Is(err, record.ErrCut):
		file := path
		if abs, err := filepath.Abs(path); err == nil {
			file = abs
		}
		return nil, fmt.Errorf("%s: %w; to print what it has, run: %s", path, err, commandline.Plugin(display, commandline.Mesh{}, "", "report", file, "--partial"))
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rec, nil
}
