package tally

import (
	"testing"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	values := make([]time.Duration, 1000)
	for i := range values {
		values[i] = time.Duration(i + 1)
	}
	for p, want := range map[int]time.Duration{50: 500, 95: 950, 99: 990} {
		if got := percentile(values, p); got == nil || *got != want {
			t.Errorf("p%d = %v, want %v", p, got, want)
		}
	}
	for _, tc := range []struct{ n, p int }{{999, 99}, {199, 95}, {19, 50}} {
		if got := percentile(values[:tc.n], tc.p); got != nil {
			t.Errorf("p%d of %d = %v, too few for one", tc.p, tc.n, *got)
		}
	}
}

func TestTallyAgain(t *testing.T) {
	t.Parallel()
	tl := New(mesh)
	tl.Add(reply.Reply{Status: 200, Body: []byte("nginx-a")}, origin.Match{})
	tl.Add(reply.Reply{Status: 200, Body: []byte("who knows")}, origin.Match{})
	id, err := origin.Parse("auto", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	tl.Reattribute(id.WithTokens(origin.NewTokens(testSnapshot())))
	if tl.Unknown != 1 || tl.Count("us") != 1 || tl.Requests != 2 {
		t.Errorf("%+v", tl)
	}
}
