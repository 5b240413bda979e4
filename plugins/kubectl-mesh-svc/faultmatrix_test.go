//go:build faults

package svc_test

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/faults"
)

const faultObjects = `apiVersion: v1
kind: Service
metadata: {name: plain}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {service.cilium.io/global: "true"}}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: closed, annotations: {service.cilium.io/global: "true", service.cilium.io/shared: "false"}}
spec: {ports: [{port: 80}]}
`

// TestFaultMatrix runs every command with every fault. make faults runs it.
func TestFaultMatrix(t *testing.T) {
	faultTable().Run(t, func(e *faults.Env) { e.InNamespace(faultObjects, e.Contexts()...) })
}

// TestHostile runs every command against an API server whose answers contain what could control a terminal. make faults runs it.
func TestHostile(t *testing.T) {
	faultTable().Hostile(t, func(e *faults.Env) { e.InNamespace(faultObjects, e.Contexts()...) })
}
