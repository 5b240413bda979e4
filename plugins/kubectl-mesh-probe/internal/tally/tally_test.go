package tally

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/meshtest"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

func TestTallyAgain(t *testing.T) {
	t.Parallel()
	tl := New(mesh)
	first := tl.Add(reply.Reply{Status: 200, Body: []byte("nginx-a")}, origin.Match{})
	second := tl.Add(reply.Reply{Status: 200, Body: []byte("who knows")}, origin.Match{})
	if again := tl.Add(reply.Reply{Status: 200, Body: []byte("who knows")}, origin.Match{}); first != 1 || second != 2 || again != 2 {
		t.Errorf("the distinct replies have the numbers %d, %d and %d", first, second, again)
	}
	id, err := origin.Parse("auto", nil, mesh)
	if err != nil {
		t.Fatal(err)
	}
	var late []string
	tl.Reattribute(id.WithTokens(origin.NewTokens(meshtest.Snapshot())), func(distinct int, who origin.Match) {
		late = append(late, fmt.Sprint(distinct, " ", who.Name, " by ", who.By))
	})
	if !slices.Equal(late, []string{"1 us by " + origin.ByPod}) {
		t.Errorf("attributed %q", late)
	}
	if tl.Unknown != 2 || tl.Count("us") != 1 || tl.Requests != 3 {
		t.Errorf("%+v", tl)
	}
}
