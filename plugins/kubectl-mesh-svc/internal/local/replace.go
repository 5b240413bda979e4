package local

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/files"
)

// replacement is a file and what it is to hold.
type replacement struct {
	name    string
	content []byte
}

// replaceFiles puts new files in the place of old ones, each at once. All are written beside the old ones before the first takes its
// place: a disk that is full or a directory that is read-only is met while nothing is changed.
func replaceFiles(list []replacement) error {
	for _, r := range list {
		if _, _, err := files.Target(r.name); err != nil {
			return unwritten(r, err, "nothing was changed")
		}
	}
	var ready []*files.New
	for _, r := range list {
		f, err := files.Write(r.name, r.content)
		if err != nil {
			return errors.Join(unwritten(r, err, "nothing was changed"), discard(ready))
		}
		ready = append(ready, f)
	}
	return place(list, ready)
}

// place puts the files in their places. If one of them cannot take its place, neither do those after it.
func place(list []replacement, ready []*files.New) error {
	for n, r := range list {
		if err := ready[n].Place(); err != nil {
			before := "nothing was changed"
			if n > 0 {
				before = "changed before it: " + namesOf(list[:n])
			}
			return errors.Join(unwritten(r, err, before), discard(ready[n:]))
		}
	}
	return nil
}

func unwritten(r replacement, err error, changed string) error {
	return fmt.Errorf("%s cannot be written: %w; %s", r.name, files.Cause(err), changed)
}

func discard(ready []*files.New) (err error) {
	for _, f := range ready {
		err = errors.Join(err, f.Discard())
	}
	return err
}

func namesOf(list []replacement) string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = r.name
	}
	return strings.Join(out, ", ")
}
