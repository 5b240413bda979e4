package rotate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/ca"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/rotate"
)

// sameTime is a mesh in which the new pod of a cluster looks older than its CA file for so many restarts, because somebody wrote the Secret in the same second.
type sameTime struct {
	*modeltest.World

	cluster  string
	restarts int
}

func (o sameTime) count() (n int) {
	for _, line := range o.Log {
		if line == o.cluster+" deployments/clustermesh-apiserver" {
			n++
		}
	}
	return n
}

func (o sameTime) Running(ctx context.Context, s *ca.State, look rotate.Look) (rotate.Running, error) {
	out, err := o.World.Running(ctx, s, look)
	if n := o.count(); s.Member.Name == o.cluster && n > 0 && n <= o.restarts {
		out.EtcdBehind = append(out.EtcdBehind, "the pod was created before the CA file was written")
	}
	return out, err
}

// TestRestartsAgain: a restart that came too early is repeated, and not for ever.
func TestRestartsAgain(t *testing.T) {
	t.Parallel()
	for early, want := range map[int]int{1: 2, 1000: 8} {
		w := newWorld(t, 12, byCertgen, "us", "eu")
		if _, err := w.run(rotate.Start, "", -1); err != nil {
			t.Fatal(err)
		}
		o := sameTime{w.World, "eu", early}
		w.observe = o
		report, err := w.run(rotate.Continue, "", -1)
		if early == 1 && err != nil || early > 1 && (!errors.Is(err, rotate.ErrWaiting) || !strings.Contains(err.Error(), "the pod was created before")) {
			t.Errorf("%d restarts too early: %v (%v)", early, err, report.Waiting)
		}
		if n := o.count(); n != want {
			t.Errorf("%d restarts too early: %d restarts, want %d", early, n, want)
		}
	}
}
