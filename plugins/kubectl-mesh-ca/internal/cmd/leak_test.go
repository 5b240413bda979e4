package cmd

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a goroutine is left when all tests have ended.
func TestMain(m *testing.M) {
	const here = "github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/cmd."
	goleak.VerifyTestMain(m,
		// A read from a terminal cannot be interrupted. The prompt leaves it behind after Ctrl-C, when the program ends.
		goleak.IgnoreAnyFunction(here+"secret.prompt.func1"),
		// The test's side of that terminal, which stays open for the same reason.
		goleak.IgnoreAnyFunction(here+"terminal.func1"),
	)
}
