package ca

import (
	"context"
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// TestStepEndsWhatItBegan: an interrupt during a write does not cut the write.
func TestStepEndsWhatItBegan(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	i := &Item{State: &State{Member: &clusters.Member{Name: "eu"}}, Result: v1alpha1.ResultPlanned}
	p := &Plan{Action: "sync"}
	begun := 0
	write := func(ctx context.Context) error {
		begun++
		interrupt()
		return ctx.Err()
	}
	if err := p.step(ctx, i, Options{Timeout: time.Minute}, write); err != nil {
		t.Errorf("the write was cut: %v", err)
	}
	if err := p.step(ctx, i, Options{Timeout: time.Minute}, write); err == nil || begun != 1 {
		t.Errorf("a write was begun after the interrupt (%d in all, error %v)", begun, err)
	}
}
