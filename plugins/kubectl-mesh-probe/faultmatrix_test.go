//go:build faults

package probe_test

import (
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/faults"
	"github.com/kubectl-mesh/kubectl-mesh/test/labtest"
)

// TestFaultMatrix runs every command with every fault. make faults runs it.
func TestFaultMatrix(t *testing.T) {
	faultTable().Run(t, deployed)
}

// TestHostile runs every command against an API server whose answers contain what could control a terminal. make faults runs it.
func TestHostile(t *testing.T) {
	faultTable().Hostile(t, deployed)
}

// deployed makes the Service and its client pods.
func deployed(e *faults.Env) {
	contexts := []string{"kind-us", "kind-eu"}
	for _, c := range contexts {
		e.InNamespace(strings.ReplaceAll(permissionObjects, "CLUSTER", strings.TrimPrefix(c, "kind-")), c)
	}
	for _, c := range contexts {
		if err := labtest.RolledOut(func(args ...string) (string, error) {
			return e.Kubectl("", append([]string{"--context", c, "-n", e.Namespace}, args...)...), nil
		}, "deploy/web", "deploy/client"); err != nil {
			e.T.Fatal(err)
		}
	}
}
