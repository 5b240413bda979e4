package labtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
)

// section begins a part of a script's log.
const section = "\n# "

// checkLog checks the documents that the commands of a script printed. The log has the standard output of each of them.
func checkLog(t *testing.T, log string) {
	t.Helper()
	for _, out := range outputs(log) {
		documents.Check(t, out)
	}
}

// outputs cuts what commands printed to standard output out of the log of a script.
func outputs(log string) []string {
	var out []string
	var current *strings.Builder
	end := func() {
		if current != nil {
			out = append(out, current.String())
		}
		current = nil
	}
	for line := range strings.Lines(log) {
		switch {
		case line == "[stdout]\n":
			end()
			current = &strings.Builder{}
		case strings.HasPrefix(line, "[stderr]"), strings.HasPrefix(line, "[exit status"), strings.HasPrefix(line, "[background]"),
			strings.HasPrefix(line, "> "), strings.HasPrefix(line, "# "):
			end()
		case current != nil:
			current.WriteString(line)
		}
	}
	end()
	return out
}

// lastSection is the part of the log of a script that tells why it failed.
func lastSection(log string) string {
	if i := strings.LastIndex(log, section); i >= 0 {
		return log[i+1:]
	}
	return log
}

// checkRecords checks the records of mesh-probe below a directory. A record that is cut short is checked up to there.
func checkRecords(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(d.Name(), ".gz") {
			return err
		}
		raw, err := os.ReadFile(path) //nolint:gosec // a file of the test
		if err != nil {
			return err
		}
		zip, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil //nolint:nilerr // not a record
		}
		var lines bytes.Buffer
		_, _ = io.Copy(&lines, bufio.NewReader(zip)) // a script may have cut it
		documents.Check(t, lines.String())
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
