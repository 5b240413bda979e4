package fanout

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// cluster is one that is asked once.
type cluster struct {
	name string
	err  *failure.Error
}

func (c cluster) Failure() *failure.Error                                        { return c.err }
func (c cluster) Ask(ctx context.Context, ask func(context.Context) error) error { return ask(ctx) }

func TestEachKeepsOrderAndDeadline(t *testing.T) {
	t.Parallel()
	members := []cluster{{"us", nil}, {"eu", &failure.Error{Class: failure.Refused, Err: errors.New("no answer")}}, {"ap", nil}, {"sa", nil}}
	got := Each(t.Context(), members, 50*time.Millisecond, func(ctx context.Context, m cluster) (string, error) {
		switch m.name {
		case "ap":
			<-ctx.Done() // hangs until its own deadline
			return "", ctx.Err()
		case "sa":
			return "", errors.New("broken")
		}
		return m.name, nil
	})
	var out []string
	for _, r := range got {
		s := r.Member.name + " " + r.Value
		if r.Err != nil {
			s += string(r.Err.Class)
		}
		out = append(out, s)
	}
	if d := cmp.Diff([]string{"us us", "eu refused", "ap timeout", "sa error"}, out); d != "" {
		t.Error(d)
	}
}
