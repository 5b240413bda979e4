package conformance

import (
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/body"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/v1.19.7/judge"
)

func TestConformance(t *testing.T) {
	j, err := judge.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	body.Run(t, j)
}
