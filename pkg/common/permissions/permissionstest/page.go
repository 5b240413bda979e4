// Package permissionstest keeps docs/rbac.md equal to the tables that the rbac commands print. Only tests import it.
package permissionstest

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Documented compares a table with the one in the page behind the comment that names the package, and with update writes it there.
func Documented(t *testing.T, page, pkg, want string, update bool) {
	t.Helper()
	begin, end := pkg+" -update -->\n", "<!-- end -->"
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(raw), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table of %s", page, pkg)
	}
	if update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o600); err != nil { //nolint:gosec // a page of this repository
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s is not up to date: %s", page, d)
	}
}
