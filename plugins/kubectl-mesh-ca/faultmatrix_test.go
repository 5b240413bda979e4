//go:build faults

package ca_test

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/faults"
)

// TestFaultMatrix runs every command with every fault. make faults runs it.
func TestFaultMatrix(t *testing.T) {
	faultTable().Run(t, func(e *faults.Env) { e.InNamespace("", "kind-us", "kind-eu") })
}

// TestHostile runs every command against an API server whose answers contain what could control a terminal. make faults runs it.
func TestHostile(t *testing.T) {
	faultTable().Hostile(t, func(e *faults.Env) { e.InNamespace("", "kind-us", "kind-eu") })
}
