//go:build faults

package probe_test

import (
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/faults"
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
		e.Kubectl("", "--context", c, "-n", e.Namespace, "rollout", "status", "deploy/web", "deploy/client", "--timeout=120s")
	}

}
