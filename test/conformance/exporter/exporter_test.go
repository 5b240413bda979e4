package exporter

import (
	"os"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
)

// TestExporter needs a lab of cluster us and the program: make conformance-exporter.
func TestExporter(t *testing.T) {
	state := os.Getenv("MESHLAB_STATE")
	if state == "" {
		t.Fatal("MESHLAB_STATE is not set: there is no lab; run make conformance-exporter")
	}
	t.Chdir(Directory(state))
	e, err := New(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	body.RunExporter(t, e)
}
