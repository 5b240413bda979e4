package ca

import (
	"flag"
	"path/filepath"
	"slices"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions/permissionstest"
)

var update = flag.Bool("update", false, "write what is generated")

// TestFieldDDocumentedAccess keeps the table in docs/rbac.md equal to the one that rbac prints.
func TestFieldDDocumentedAccess(t *testing.T) {
	t.Parallel()
	permissionstest.Documented(t, filepath.Join("..", "..", "..", "..", "docs", "rbac.md"), "kubectl-mesh-ca/internal/ca", AccessTable(slices.Concat(Accesses(), RotateAccesses(), LiveAccesses())), *update)
}
