package drill

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions/permissionstest"
)

// TestDocumentedAccess keeps the table in docs/rbac.md equal to the one that rbac --drill prints. Package testkit has the flag -update.
func TestDocumentedAccess(t *testing.T) {
	t.Parallel()
	permissionstest.Documented(t, filepath.Join("..", "..", "..", "..", "docs", "rbac.md"), "kubectl-mesh-probe/internal/drill", AccessTable(), flag.Lookup("update").Value.String() == "true")
}
