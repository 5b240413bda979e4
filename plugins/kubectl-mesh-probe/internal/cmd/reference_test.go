package cmd

import (
	"flag"
	"path/filepath"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli/clitest"
)

var update = flag.Bool("update", false, "write the generated pages")

// TestReference keeps the page in docs/reference equal to the commands.
func TestReference(t *testing.T) {
	t.Parallel()
	page := filepath.Join("..", "..", "..", "..", "docs", "reference", "kubectl-mesh-probe.md")
	clitest.CheckReference(t, NewRoot(genericiooptions.NewTestIOStreamsDiscard()), "plugins/kubectl-mesh-probe/internal/cmd", page, *update)
}
