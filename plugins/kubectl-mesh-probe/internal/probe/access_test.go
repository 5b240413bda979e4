package probe

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions/permissionstest"
)

var update = flag.Bool("update", false, "write the generated files")

// TestFieldDDocumentedAccess keeps the table in docs/rbac.md equal to the one that rbac prints.
func TestFieldDDocumentedAccess(t *testing.T) {
	t.Parallel()
	all, err := AccessesOf([]string{"ephemeral", "pod"})
	if err != nil {
		t.Fatal(err)
	}
	permissionstest.Documented(t, filepath.Join("..", "..", "..", "..", "docs", "rbac.md"), "kubectl-mesh-probe/internal/probe", AccessTable(all), *update)
}
