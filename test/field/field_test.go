// Package field holds no tests of its own but the list of those made after reports from the field: `make test-field` runs them.
package field

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// numbers is how many kinds of faults were reported; TestFieldNN and field_NN_NAME.txtar are named after them.
const numbers = 19

// cases are the reported inputs that are staged as scripts on the lab, case_NN.txtar. Number 16 needs no lab beyond a pod.
var cases = []string{"01", "03", "04", "07", "08", "09", "11", "12", "13", "16", "17", "18"}

var testName = regexp.MustCompile(`(?m)^func TestField(\d\d)`)

// TestEveryReportHasATest fails when a reported fault or case has no test that `make test-field` would run.
func TestEveryReportHasATest(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	root := os.DirFS("../..")
	for _, top := range []string{"pkg", "plugins", "test"} {
		err := fs.WalkDir(root, top, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			base := filepath.Base(path)
			switch {
			case strings.HasSuffix(base, ".txtar"):
				if kind, rest, ok := strings.Cut(base, "_"); ok && len(rest) > 1 && (kind == "field" || kind == "case") {
					seen[kind+rest[:2]] = true
				}
			case strings.HasSuffix(base, "_test.go"):
				text, err := fs.ReadFile(root, path)
				if err != nil {
					return err
				}
				for _, m := range testName.FindAllSubmatch(text, -1) {
					seen["field"+string(m[1])] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := 1; n <= numbers; n++ {
		if id := fmt.Sprintf("field%02d", n); !seen[id] {
			t.Errorf("no test is named after number %d", n)
		}
	}
	for _, c := range cases {
		if !seen["case"+c] {
			t.Errorf("case %s is not staged: no case_%s.txtar", c, c)
		}
	}
}
