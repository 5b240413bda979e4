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

func TestCommandsReachTheCluster(t *testing.T) {
	t.Parallel()
	for context, want := range map[string]string{
		"kind-eu":            "kubectl --context kind-eu -n kube-system get x",
		"admin@eu":           "kubectl --context admin@eu -n kube-system get x",
		"it's $(id)":         `kubectl --context 'it'\''s $(id)' -n kube-system get x`,
		"/a b/eu.yaml::main": "kubectl --kubeconfig '/a b/eu.yaml' --context main -n kube-system get x",
	} {
		s := &State{Member: &clusters.Member{Context: context}, Namespace: "kube-system"}
		if got := s.kubectl("get", "x"); got != want {
			t.Errorf("%s: %s, want %s", context, got, want)
		}
	}
	s := &State{Member: &clusters.Member{Context: "eu", Kubeconfig: "/a b"}, Namespace: "kube-system"}
	if got, want := s.kubectl("get", "x"), "kubectl --kubeconfig '/a b' --context eu -n kube-system get x"; got != want {
		t.Errorf("with --kubeconfig: %s, want %s", got, want)
	}
}
