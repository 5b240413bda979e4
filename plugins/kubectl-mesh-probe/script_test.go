package probe_test

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

// TestScripts runs kubectl mesh-probe as a user does, against the lab.
func TestScripts(t *testing.T) {
	labtest.Run(t, "testdata/script")
}
